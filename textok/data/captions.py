"""What counts as a caption: values of tables and metadata, and the texts beside images."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from textok.config.data import CaptionSeparator
from textok.data.column_names import columns_called, plain_name
from textok.data.report import ReadReport

CAPTION_FIELDS = (
    *("captions", "caption", "text", "texts", "prompt", "prompts", "sentences", "sentence"),
    *("description", "descriptions", "conversations", "messages", "comment", "comments"),
)
"""Fields that captions are read from; the first that holds any counts."""
VOID = frozenset(("nan", "-nan", "none", "null", "na", "n/a", "<na>", "#n/a", "#na"))
"""What programs write for a missing value, in lower case."""
NUMBERED = re.compile(r"(caption|text|prompt|sentence|description)s?[ _-]?\d+")
INSIDE = ("raw", "caption", "text", "sentence", "value", "content")
"""Fields of a caption that is itself a mapping, as in Karpathy's splits."""
LONG = 160
"""A paragraph of so many characters is no caption of its own."""
MARKUP = re.compile(r"^\s*([-*#•]|\d+[.)]\s)|\*\*|:\s*$", re.MULTILINE)
SPOKEN_BY = ("gpt", "assistant")


def clean_captions(value: object, report: ReadReport | None = None) -> tuple[str, ...]:
    """The captions of a string, a number, a list of them, or None, stripped, without empty ones.

    A list written out as a string is that list. ``nan``, ``None`` and the like are no captions, and
    neither are truth values and mappings without a text; ``report`` counts both. Of a
    conversation (LLaVA, chat messages) the first answer is the caption.
    """
    counts = ReadReport() if report is None else report
    return tuple(text for text in _texts(value, counts) if text)


def field_captions(
    fields: Mapping[str, object], report: ReadReport | None = None
) -> tuple[str, ...]:
    """The captions among metadata: of the first of ``CAPTION_FIELDS`` that has any.

    Without those, of ``caption_0``, ``caption_1``, ... in order, else of the first field with
    "caption" in its name.
    """
    several = columns_called(CAPTION_FIELDS, fields)
    found = (clean_captions(fields[name], report) for name in several)
    captions = next((texts for texts in found if texts), ())
    if captions or several:
        return captions
    others = _caption_columns(tuple(fields))
    return tuple(text for name in others for text in clean_captions(fields[name], report))


def caption_columns(names: Sequence[str]) -> list[str]:
    """Which columns hold captions: as :func:`field_captions` looks for them."""
    return list(_caption_columns(tuple(names)))


@lru_cache(maxsize=4096)  # as columns_called
def _caption_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    plain = {name: plain_name(name) for name in names}
    known = [name for wanted in CAPTION_FIELDS for name in names if plain[name] == wanted]
    if known:
        return tuple(known)
    numbered = [name for name in names if NUMBERED.fullmatch(plain[name])]
    named = [name for name in names if "caption" in plain[name] and "num" not in plain[name]]
    return tuple(numbered or named[:1])


def split_text(text: str, separator: CaptionSeparator, report: ReadReport) -> tuple[str, ...]:
    """The captions of a text file: one a line, a paragraph, or all of it.

    ``auto`` is one a line; but paragraphs that are wrapped, long or marked up, as a vision-language
    model writes them, are one caption, and ``report`` counts those.
    """
    paragraphs = re.split(r"\n\s*\n", text.strip())
    if separator == "auto":
        prose = any(len(p) >= LONG or "\n" in p or MARKUP.search(p) for p in paragraphs)
        separator = "file" if len(paragraphs) > 1 and prose else "line"
        report.joined += separator == "file"
    parts = {"line": text.splitlines(), "paragraph": paragraphs, "file": [text]}[separator]
    return clean_captions([" ".join(part.split()) for part in parts], report)


def _texts(value: object, report: ReadReport) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return _of_string(value, report)
    if isinstance(value, (list, tuple)):
        answer = _answer(value)
        several = [answer] if answer is not None else value
        return [text for one in several for text in _texts(one, report)]
    if isinstance(value, Mapping):
        name = next((name for name in INSIDE if isinstance(value.get(name), str)), None)
        if name is not None:
            return _of_string(value[name], report)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return _of_string(str(value), report)
    report.not_text += 1
    return []


def _of_string(value: str, report: ReadReport) -> list[str]:
    text = _printable(value).strip()
    listed = _list_of(text)
    if listed is not None:
        return [text for one in listed for text in _of_string(one, report)]
    if text.casefold() in VOID:
        report.void += 1
        return []
    return [text]


def _list_of(text: str) -> list[str] | None:
    """``["a", "b"]``, as JSON or as Python writes it; None for any other text."""
    if not (text.startswith(('["', "['", '("', "('")) and text.endswith(("]", ")"))):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, (list, tuple)) and all(isinstance(one, str) for one in found):
            return list(found)
    return None


def _answer(turns: Sequence[object]) -> str | None:
    """The first answer of a conversation; None where it is none."""
    for turn in turns:
        if not isinstance(turn, Mapping):
            return None
        if turn.get("from", turn.get("role")) in SPOKEN_BY:
            said = turn.get("value", turn.get("content"))
            return said.replace("<image>", "") if isinstance(said, str) else None
    return None


def _printable(text: str) -> str:
    """Without NULs and halves of surrogate pairs, which no file takes."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "ignore").decode("utf-8")
