"""Texts of numbers beside images: boxes, polygons, classes and scores, which are no captions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?"
_APART = r"[\s,;]+"
_NUMBERS = re.compile(rf"{_NUMBER}(?:{_APART}{_NUMBER})*", re.IGNORECASE)
_SHAPE = re.compile(
    rf"(?:(?!{_NUMBER}{_APART})\S+\s+(?=.*[0-9]\.[0-9]))?"
    rf"{_NUMBER}(?:{_APART}{_NUMBER}){{3,}}(?:{_APART}.*)?",
    re.IGNORECASE,
)
"""Four numbers or more in a row. A class may come before those that are fractions, or after any."""
_BRACKETS = str.maketrans("[](){}", "      ")


@dataclass(frozen=True, kw_only=True)
class NumberTexts:
    """Tells texts of numbers from captions."""

    others: Callable[[str], Iterable[str]]
    """All texts of a kind in the set."""
    _alone: dict[str, bool] = field(default_factory=dict)
    """Kinds of which all texts are numbers, or not all, where that was asked."""

    def has(self, kind: str, text: str) -> bool:
        """Whether a text is a box or the like, or numbers where all of its kind are.

        So ``1984`` is a caption among others with words, but ``7`` is a class where all are.
        """
        if are_shapes(text) or not are_numbers(text):
            return are_shapes(text)
        if kind not in self._alone:
            self._alone[kind] = all(
                are_numbers(other) or are_shapes(other)
                for other in self.others(kind)
                if other.strip()
            )
        return self._alone[kind]


def are_shapes(text: str) -> bool:
    """Whether each line is a box or the like, as YOLO, KITTI and DOTA write them."""
    return _each_line(_SHAPE, text)


def are_numbers(text: str) -> bool:
    """Whether a text is of numbers alone."""
    return _each_line(_NUMBERS, text)


def is_numeric(value: object) -> bool:
    """Whether a value of JSON is a number, or a list of nothing else; an empty one is not."""
    todo, numbers = [value], 0
    while todo:
        one = todo.pop()
        if isinstance(one, list):
            todo += one
        elif isinstance(one, bool) or not isinstance(one, (int, float)):
            return False
        else:
            numbers += 1
    return numbers > 0


def _each_line(pattern: re.Pattern[str], text: str) -> bool:
    lines = (line.translate(_BRACKETS).strip(" \t,;\0") for line in text.splitlines())
    full = list(filter(None, lines))
    return bool(full) and all(map(pattern.fullmatch, full))
