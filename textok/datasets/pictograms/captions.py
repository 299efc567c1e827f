"""Write captions as a describer would, from the label, a few keywords and the measured colours."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

STYLE_WORDS = {
    "fluent-3d": "glossy 3D Fluent style",
    "fluent-flat": "flat Fluent style",
    "noto": "soft shaded Noto style",
    "openmoji": "outlined OpenMoji style",
    "twemoji": "flat Twemoji style",
}
WORDS_WITH_KEYWORDS = ((4, 3), (6, 2), (9, 1))
"""(label words, keywords): a label of at most so many words leaves room for so many keywords."""


def share(text: str) -> float:
    """Map a text to a number in [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def full_and_plain(
    *, key: str, style: str, label: str, keywords: Sequence[str], colours: Sequence[str]
) -> tuple[str, str]:
    """Return the caption with the main colours, and the same caption without them."""
    shown = spoken(label)
    words = ", ".join(_pick_keywords(key, shown, keywords))
    number = int(share(f"template {key}") * 4)
    return (
        _fill(number, STYLE_WORDS[style], shown, words, _enumerate(colours)),
        _fill(number, STYLE_WORDS[style], shown, words, ""),
    )


def spoken(label: str) -> str:
    """Turn a Unicode label into a phrase: "flag: Chad" becomes "flag of Chad"."""
    head, colon, tail = label.partition(": ")
    if not colon:
        return label
    parts = tail.split(", ")
    if head == "flag":
        return f"flag of {tail}"
    if head == "keycap":
        return f"{head} {tail}"
    if head in ("family", "kiss", "couple with heart"):
        people = [part for part in parts if "skin tone" not in part]
        tones = [part for part in parts if "skin tone" in part]
        who = f" of {_enumerate(people)}" if people else ""
        return head + who + (f" with {_enumerate(tones)}" if tones else "")
    return f"{head} with {_enumerate(parts)}"


def _fill(number: int, style: str, label: str, words: str, colours: str) -> str:
    in_colours = f" in {colours}" if colours else ""
    mostly = f"mostly {colours}" if colours else ""
    templates = (
        (f"{_article(style)} {style} emoji of {label}{in_colours}", words),
        (f"{style} icon", label, words, mostly),
        (label, words, f"{style} drawing{in_colours}"),
        (f"{label}{in_colours}", words, f"{style} emoji"),
    )
    return ", ".join(part for part in templates[number] if part)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _enumerate(parts: Sequence[str]) -> str:
    """Join as in "red, white and blue"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _pick_keywords(key: str, label: str, keywords: Sequence[str]) -> list[str]:
    """Choose up to three keywords that add a word to the label, by a hash of key and keyword."""
    said = label.lower().replace(",", "").split()
    new = [word for word in keywords if len(word) > 2 and not _repeats(word.lower(), said)]
    length = len(label.split())
    room = next((count for words, count in WORDS_WITH_KEYWORDS if length <= words), 0)
    chosen = set(sorted(new, key=lambda word: share(f"{key} {word}"))[:room])
    return [word for word in new if word in chosen]


def _repeats(keyword: str, said: Sequence[str]) -> bool:
    """Tell whether a word of the keyword is said already, maybe in another form ("kneel")."""
    return any(
        new == old or (min(len(new), len(old)) > 3 and (new[:4] == old[:4]))
        for new in keyword.split()
        for old in said
    )
