"""Lists that a program wrote into a field as text."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping, Sequence

from textok.data.conversations import turns_of

INSIDE = ("raw", "caption", "text", "sentence", "value", "content")
"""Fields of a caption that is itself a mapping, as in Karpathy's splits."""
_LIST = re.compile(r"(array\()?[\[(]+\s*([\"'{\])]|None\b|null\b|nan\b|NaN\b|(np|numpy)\.|array\()")
"""How such a text begins."""
_STRING = r"'[^'\\]*(?:\\.[^'\\]*)*'|\"[^\"\\]*(?:\\.[^\"\\]*)*\""
_TOKEN = re.compile(
    rf"(?P<call>\b(?:array|(?:np|numpy)\.\w+)\()|(?P<dtype>,\s*dtype=[^)]*\))"
    rf"|(?P<value>{_STRING}|\bNone\b|\bnan\b|\])(?P<apart>\s+(?=['\"\[nN]))?|\\.",
    re.DOTALL,
)
"""Where Python would join what NumPy sets apart, and what Python does not write."""


def written_list(text: str) -> list[object] | None:
    """The list that ``text`` is, as JSON, Python, NumPy or pandas write it; None for any other.

    All members must be texts, nothing, or what has a text in it: lists of numbers are none.
    """
    if not _LIST.match(text) or not text.endswith(("]", ")")):
        return None
    for read in (json.loads, _literal):
        try:
            found = read(text)
            if isinstance(found, (list, tuple)) and _are_texts(found):
                return list(found)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _literal(text: str) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # backslashes in captions
        return ast.literal_eval(_TOKEN.sub(_as_python, text))


def _as_python(token: re.Match[str]) -> str:
    if token["call"]:
        return "("
    if token["dtype"]:
        return ")"
    value = "None" if token["value"] == "nan" else token["value"] or token[0]
    return value + ("," if token["apart"] else "")


def _are_texts(values: Sequence[object]) -> bool:
    return all(_is_text(value) for value in values)


def _is_text(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return _are_texts(value)
    if isinstance(value, Mapping):
        return bool(turns_of(value)) or any(isinstance(value.get(name), str) for name in INSIDE)
    return value is None or isinstance(value, str) or value != value  # NaN, of JSON
