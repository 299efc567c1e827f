"""What counts as a caption: values of tables and metadata, and the texts beside images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from textok.config.data import CaptionSeparator
from textok.data.column_names import columns_called, plain_name
from textok.data.conversations import first_answer, turns_of
from textok.data.report import ReadReport
from textok.data.written_lists import INSIDE, written_list

CAPTION_FIELDS = (
    *("captions", "caption", "text", "texts", "prompt", "prompts", "sentences", "sentence"),
    *("description", "descriptions", "conversations", "conversation", "messages"),
    *("comment", "comments"),
)
"""Fields that captions are read from; the first that holds any counts."""
VOID = frozenset(
    "nan -nan none null na n/a <na> #n/a #na <null> <none> (null) (none) nil undefined {} nonetype"
    " '' \"\" #null! #ref! #value! #name? #div/0! #num! 1.#ind -1.#ind 1.#qnan -1.#qnan"
    "".split()
) | {"#n/a n/a"}
"""What programs write for a missing value, in lower case."""
VOID_AS_WRITTEN = frozenset(("NaT", r"\N", "True", "False", "TRUE", "FALSE", "[object Object]"))
NUMBERED = re.compile(r"(caption|text|prompt|sentence|description)s?[ _-]?\d+")
NAMED = re.compile(r"(?P<before>.*?)(captions?(?=_|$)|caption)_?(?P<after>.*)")
ABOUT = frozenset(
    "id ids uid uuid idx index no nr n num number count counts len length size lang language locale"
    " source src model author er ed by score scores rating prob confidence file filename path url"
    " type kind format date time status valid hash emb embedding embeddings tokens".split()
)
"""What stands behind "caption" in the name of a column that says something about captions."""
COUNTING = frozenset(("n", "no", "num", "number", "count", "len", "has", "is"))
"""The same, of what stands before it."""
DIGITS = re.compile(r"[\d\s.,:;/+-]+")
"""Of several columns the first with anything else holds."""
LONG = 160
"""A paragraph of so many characters is no caption of its own."""
MARKUP = re.compile(r"^\s*([-*#•]|\d+[.)]\s)|\*\*|:\s*$", re.MULTILINE)


def clean_captions(value: object, report: ReadReport | None = None) -> tuple[str, ...]:
    """The captions of a string, a number, a list of them, or None, stripped, without empty ones.

    A list written out as a string is that list. ``nan``, ``None`` and the like are no captions, and
    neither are truth values, mappings without a text and lists in hundreds of lists; ``report``
    counts both. Of a conversation (LLaVA, chat messages) the first answer is the caption.
    """
    counts = ReadReport() if report is None else report
    try:
        return tuple(text for text in _texts(value, counts) if text)
    except RecursionError:
        counts.not_text += 1
        return ()


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
    numbered, named = _columns_like_captions(tuple(fields))
    worded = [name for name in named if not DIGITS.fullmatch(str(fields[name]))]
    others = numbered or (worded or named)[:1]
    return tuple(text for name in others for text in clean_captions(fields[name], report))


def caption_columns(names: Sequence[str]) -> list[str]:
    """Which columns hold captions: as :func:`field_captions` looks for them."""
    plain = {name: plain_name(name) for name in names}
    known = [name for wanted in CAPTION_FIELDS for name in names if plain[name] == wanted]
    numbered, named = _columns_like_captions(tuple(names))
    return known or list(numbered or named[:1])


@lru_cache(maxsize=4096)  # as columns_called
def _columns_like_captions(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``caption_0``, ``caption_1``, ..., and others with "caption" in their names, best first."""
    plain = {name: plain_name(name) for name in names}
    numbered = tuple(name for name in names if NUMBERED.fullmatch(plain[name]))
    named = [name for name in names if _is_of_captions(plain[name])]
    return numbered, tuple(sorted(named, key=lambda name: not plain[name].endswith("_text")))


def _is_of_captions(name: str) -> bool:
    """Whether a column has captions, not their number, language, source, ..."""
    found = NAMED.fullmatch(name)
    if found is None:
        return False
    before, after = (set(found[part].split("_")) for part in ("before", "after"))
    return not before & COUNTING and not after & ABOUT


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
        answer = first_answer(value)
        if answer is None:
            return [text for one in value for text in _texts(one, report)]
        report.not_text += not answer
        return _of_string(answer, report)
    if isinstance(value, Mapping):
        if turns_of(value):
            return _texts([value], report)
        name = next((name for name in INSIDE if isinstance(value.get(name), str)), None)
        if name is not None:
            return _of_string(value[name], report)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return _of_string(str(value), report)
    report.not_text += 1
    return []


def _of_string(value: str, report: ReadReport) -> list[str]:
    text = _printable(value).strip()
    listed = written_list(text)
    if listed is not None:
        members = ["null" if one is None else one for one in listed or [None]]
        return _texts(members, report)
    if text.casefold() in VOID or text in VOID_AS_WRITTEN:
        report.void += 1
        return []
    return [text]


def _printable(text: str) -> str:
    """Without NULs and halves of surrogate pairs, which no file takes."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "ignore").decode("utf-8")
