"""Captions from the names of a class and the box of its object."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from textok.datasets.tiny_imagenet.source import Box, Picture

CLOSE_UP = "close-up"
SIZES = ((0.85, CLOSE_UP), (0.45, "large"), (0.15, "medium-sized"), (0.0, "small"))
"""(share of the image that the box covers at least, word)."""
MIDDLE = (0.42, 0.58)
"""Where the box's middle counts as neither left nor right, neither top nor bottom."""
PLACES = (
    ("upper left", "top", "upper right"),
    ("left", "center", "right"),
    ("lower left", "bottom", "lower right"),
)
PREPOSITIONS = {"left": "on the", "right": "on the", "top": "at the", "bottom": "at the"}
CLASS_ONLY = ("a picture of {}", "an image of {}", "a photograph of {}")
FULL = (
    "a photo of {one}, {size}, {where}",
    "a photo of {sized} {where}",
    "{sized} {where} of the picture",
    "{one}, {size}, {where}",
)
FULL_CLOSE_UP = (
    "a close-up photo of {one}",
    "{one} that fills the picture",
    "a close-up of {one}",
    "a photo of {one}, close up",
)
PLURAL_VERB = "that fills"
SOUNDS_LIKE_CONSONANT = ("uni", "use", "usu", "eu", "ewe", "one", "once", "ukulele", "uk")
SOUNDS_LIKE_VOWEL = ("hour", "honest", "heir", "honor", "honour")
NO_ARTICLE = frozenset(
    ("guacamole", "ice cream", "icecream", "mashed potato", "brass", "thatch", "confectionery")
)
NAMES_SHOWN = 3
SINGULAR_ENDINGS = ("ss", "us", "is", "os", "as", "lens", "series", "species")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How large the object is and where."""

    size: str
    place: str

    @property
    def where(self) -> str:
        return f"{PREPOSITIONS.get(self.place, 'in the')} {self.place}"


def layout(box: Box, width: int, height: int) -> Layout:
    """Size word and place word of a box in an image of ``width`` x ``height`` pixels."""
    left, top, right, bottom = box
    share = (right - left + 1) * (bottom - top + 1) / (width * height)
    across = (left + right + 1) / 2 / width
    down = (top + bottom + 1) / 2 / height
    column, row = (sum(at > edge for edge in MIDDLE) for at in (across, down))
    size = next(word for least, word in SIZES if share >= least)
    return Layout(size=size, place=PLACES[row][column])


def captions_of(picture: Picture, seen: Layout | None) -> list[str]:
    """Four to six captions, the first the fullest, the second "a photo of a CLASS".

    Without a box all are of the class alone. Templates and synonyms are picked by hashes of the
    image's name.
    """
    label, names = picture.of.label, picture.of.names
    synonym = names[1 + _pick(picture.name, "synonym", len(names) - 1)] if names[1:] else label
    number = _pick(picture.name, "full", len(FULL))
    other = (number + 1 + _pick(picture.name, "other", len(FULL) - 1)) % len(FULL)
    plain = f"a photo of {with_article(label)}"
    variant = CLASS_ONLY[_pick(picture.name, "variant", len(CLASS_ONLY))]
    captions = [plain, variant.format(with_article(synonym))]
    if seen is not None:
        captions = [
            _full(label, seen, number),
            *captions,
            _full(synonym, seen, other),
            _sized(label, seen),
        ]
    captions += [", ".join(names[:NAMES_SHOWN]), f"a photo of {with_article(synonym)}"]
    if seen is None:
        captions += [text.format(with_article(label)) for text in CLASS_ONLY]
    return list(dict.fromkeys(captions))[:6]


def with_article(name: str) -> str:
    """``a goldfish``, ``an orange``, ``sunglasses``."""
    if name.casefold() in NO_ARTICLE or is_plural(name):
        return name
    word = name.casefold()
    if word.startswith(tuple("aeiou")):
        vowel = not word.startswith(SOUNDS_LIKE_CONSONANT) or word.startswith(("unim", "unin"))
    else:
        vowel = word.startswith(SOUNDS_LIKE_VOWEL)
    return f"{'an' if vowel else 'a'} {name}"


def is_plural(name: str) -> bool:
    """By the ending of its head word; Latin names, which have a capital, count as singular."""
    head = name.partition(" of ")[0].partition(" (")[0]
    return head[-1:] == "s" and head[:1].islower() and not head.endswith(SINGULAR_ENDINGS)


def _full(name: str, seen: Layout, number: int) -> str:
    if seen.size == CLOSE_UP:
        text = FULL_CLOSE_UP[number].format(one=with_article(name))
        return text.replace(PLURAL_VERB, "that fill") if is_plural(name) else text
    return FULL[number].format(
        one=with_article(name), sized=_sized(name, seen), size=seen.size, where=seen.where
    )


def _sized(name: str, seen: Layout) -> str:
    """``a large goldfish``, ``small sunglasses``."""
    if seen.size == CLOSE_UP:
        return f"a close-up photo of {with_article(name)}"
    article = "" if with_article(name) == name else "a "
    return f"{article}{seen.size} {name}"


def _pick(name: str, purpose: str, choices: int) -> int:
    """A number below ``choices``, the same on every machine."""
    digest = hashlib.sha256(f"{purpose} {name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") % choices
