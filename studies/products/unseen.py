"""Combinations of a colour and a kind of product that no name has, though both parts occur."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COLOURS = tuple(
    "black white blue red green brown grey pink purple yellow orange beige silver golden maroon "
    "olive turquoise".split()
)
OFTEN = 0.6
"""From this share on the word before a kind is part of it, as in "flip flops"."""


@dataclass(frozen=True, kw_only=True)
class Combination:
    """A colour and a kind that never meet."""

    prompt: str
    colour_names: int
    """Names with the colour."""
    kind_names: int
    """Names of the kind."""
    expected: float
    """Names with both, if colours and kinds were independent: the more, the more telling."""


def unseen_combinations(
    names: Sequence[str], *, count: int, least: int = 100, colours: Iterable[str] = COLOURS
) -> list[Combination]:
    """At most ``count`` combinations, each with a colour and a kind of its own, most telling first.

    The kind of a product is the last word of its name, in singular or plural. Colours and kinds of
    fewer than ``least`` names are left out. A combination is unseen where no name has both words,
    in any place.
    """
    words = [_words(name) for name in names]
    held = [{_stem(word) for word in each} for each in words]
    kinds = Counter(_stem(each[-1]) for each in words if each)
    colour_names = Counter(colour for each in held for colour in colours if _stem(colour) in each)
    known = {_stem(colour) for colour in colours}
    frequent = {kind for kind, number in kinds.items() if number >= least and kind not in known}
    together = Counter(
        (colour, kind)
        for each in held
        for colour in colours
        if _stem(colour) in each
        for kind in each & frequent
    )
    spelled = _spellings(words, frequent)
    found = [
        Combination(
            prompt=f"{colour} {spelled[kind]}",
            colour_names=colour_names[colour],
            kind_names=kinds[kind],
            expected=colour_names[colour] * kinds[kind] / len(names),
        )
        for colour in colours
        for kind in sorted(frequent)
        if colour_names[colour] >= least and not together[colour, kind]
    ]
    found.sort(key=lambda one: (-one.expected, one.prompt))
    return _distinct(found, count)


def _distinct(found: Sequence[Combination], count: int) -> list[Combination]:
    """The first of each colour and each kind."""
    used: set[str] = set()
    kept: list[Combination] = []
    for one in found:
        colour, _, kind = one.prompt.partition(" ")
        if len(kept) < count and not used & {colour, kind}:
            used |= {colour, kind}
            kept.append(one)
    return kept


def _spellings(words: Sequence[Sequence[str]], kinds: set[str]) -> dict[str, str]:
    """Each kind as names most often write it, with the word before where that is nearly fixed."""
    last: dict[str, Counter[str]] = defaultdict(Counter)
    before: dict[str, Counter[str]] = defaultdict(Counter)
    for each in words:
        kind = _stem(each[-1]) if each else ""
        if kind in kinds:
            last[kind][each[-1]] += 1
            before[kind][each[-2] if len(each) > 1 else ""] += 1
    spelled = {}
    for kind in kinds:
        word = last[kind].most_common(1)[0][0]
        other, times = before[kind].most_common(1)[0]
        fixed = other not in {"", *COLOURS} and times >= OFTEN * sum(last[kind].values())
        spelled[kind] = f"{other} {word}" if fixed else word
    return spelled


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z][a-z'-]*", name.lower())


def _stem(word: str) -> str:
    """One form of singular and plural, with hyphen and without: t-shirts and tshirt are tshirt."""
    word = word.replace("-", "").removesuffix("'s")
    return word.removesuffix("s") if not word.endswith("ss") and len(word) > 3 else word
