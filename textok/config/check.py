"""The one way a setting is refused: what, where, what to do."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

MOST_TOLD = 2_000
"""Characters of a message."""


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless ``condition`` holds: for settings, not for bugs."""
    if not condition:
        raise ValueError(one_line(message))


def one_line(text: str) -> str:
    """``text`` on one line of a bearable length: what users wrote may be anything.

    Line breaks, control characters and bytes that are not UTF-8 are written as escapes.
    """
    if len(text) > MOST_TOLD:
        text = f"{text[: MOST_TOLD // 2]} ... {text[-MOST_TOLD // 2 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def naming(file: str | Path) -> Iterator[None]:
    """Put the name of ``file`` before messages that lack it."""
    try:
        yield
    except ValueError as error:
        if str(file) in str(error):
            raise
        raise ValueError(f"{file}: {error}") from error


def require_text(name: str, *texts: str) -> None:
    """Refuse a text with bytes that are not UTF-8, or with half of a surrogate pair."""
    for text in texts:
        shown = text.encode("utf-8", "backslashreplace").decode()
        require(shown == text, f"{name} is '{shown}', which is no text in UTF-8")


def require_range(
    name: str, value: float, low: float, high: float | None = None, *, open_low: bool = False
) -> None:
    """Refuse a number outside ``[low, high]`` (``(low, high]`` with ``open_low``), or no number."""
    try:
        good = bool(value > low if open_low else value >= low)
        if high is not None:
            good = good and bool(value <= high)
    except (TypeError, ValueError, RuntimeError):  # a text, or an array or tensor of several
        good = False
    least, most = (f"{end:g}" if isinstance(end, float) else str(end) for end in (low, high))
    bound = f"{'>' if open_low else '>='} {least}" + (f" and <= {most}" if high is not None else "")
    require(good, f"{name} is {value!r}: it must be {bound}")


def whole_number(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """``value`` as an int, of Python, numpy or torch. Refuse others, and those out of range."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(one_line(f"{name} is {value!r}: it must be a whole number")) from None
    if low is not None:
        require_range(name, number, low, high)
    return number


def require_choice(name: str, value: object, choices: Any) -> None:
    """Refuse what is none of ``choices``, a Literal of texts."""
    words = get_args(choices)
    require(value in words, f"{name} is {value!r}: it must be one of {', '.join(words)}")
