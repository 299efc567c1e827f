"""What a model answers, and whether that is a caption."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from PIL import Image

Kind = Literal[
    "refusal", "empty", "too long", "truncated", "bad image",
    "bad answer", "http", "timeout", "connection",
]  # fmt: skip

SERVER_FAULTS: tuple[Kind, ...] = ("bad answer", "http", "timeout", "connection")
"""Kinds that say nothing of the image."""

SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Words of the model, be they a caption or not."""

    text: str
    tokens_in: int | None = None
    """Tokens read, image included; None where the server does not say."""
    tokens_out: int | None = None
    cut: bool = False
    """It ended at the limit of tokens."""
    refused: str = ""
    """Why the model, or a filter behind it, would not answer."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why there is no caption."""

    kind: Kind
    reason: str


class Captioner(Protocol):
    """Images in, an answer to each out."""

    @property
    def at_once(self) -> int:
        """Images in one call."""

    @property
    def threads(self) -> int:
        """Calls side by side."""

    def __call__(self, pictures: Sequence[Image.Image]) -> list[Answer | Failure]:
        """Ask about each image; fewer answers, at the end, where a stop was requested.

        Raises:
            ValueError: no image can be captioned this way.
            Stopped: a stop was requested before there was any answer.
        """


class Stopped(Exception):
    """A stop was requested; nothing came of the request."""


# How refusals begin; a caption may well say "a sign that reads 'I cannot swim'".
_REFUSAL = re.compile(
    r"(?:unfortunately|sorry|apologies)?[\s,.;:!-]*(?:but )?"
    r"(?:(?:i|we)(?:'m| am|'re| are)? (?:so |very |really |afraid i )?"
    r"(?:sorry|apologi[sz]e|cannot|can not|can't|could not|couldn't|will not|won't|do not|don't|"
    r"unable|not able|not comfortable|must decline)\b|as an ai\b)",
    re.IGNORECASE,
)


def judge(answer: Answer, *, max_words: int) -> str | Failure:
    """The caption in an answer, in one line and without quotes around it, or why it is none."""
    text = answer.text.rpartition("</think>")[2]
    text = " ".join(text.split())
    if len(text) > 1 and (text[0], text[-1]) in {('"', '"'), ("“", "”"), ("'", "'")}:
        text = text[1:-1].strip()
    if answer.refused:
        return Failure(kind="refusal", reason=_short(answer.refused))
    if answer.cut or text.startswith("<think>"):
        return Failure(kind="truncated", reason=_short(text))
    if not any(letter.isalnum() for letter in text):
        return Failure(kind="empty", reason=_short(text))
    if _REFUSAL.match(text.replace("’", "'")):
        return Failure(kind="refusal", reason=_short(text))
    words = len(text.split())
    if words > max_words:
        return Failure(kind="too long", reason=f"{words} words: {_short(text)}")
    return text


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
