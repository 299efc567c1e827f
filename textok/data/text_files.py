"""Texts of unknown encoding."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from pathlib import Path

from textok.data.report import ReadReport
from textok.runtime.untrusted import regular_file

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16: its mark begins with that one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FEW = 0.25
"""At most this share of a text in a western encoding lies beyond ASCII."""
_HIGH = re.compile(rb"([\x80-\xff]+)")
_UTF8 = re.compile(rb"[\xc2\xc3][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
"""Characters that would be nonsense in Windows-1252."""


class EncodingError(ValueError):
    """Bytes whose encoding cannot be told."""


def encoding_of(data: bytes) -> str:
    """The encoding of a text: by its mark, else UTF-8, UTF-16 or Windows-1252.

    Windows-1252 is taken for a text in which few and single characters lie beyond ASCII; in others,
    where each byte could be half a Chinese or a Russian letter, nothing is guessed. Where tables of
    several programs were joined, some characters are in UTF-8 and others in Windows-1252.

    Raises:
        EncodingError: none of those.
    """
    for mark, name in _MARKS.items():
        if data.startswith(mark) and (name != "utf-8-sig" or _is(data, "utf-8")):
            return name
    if data.count(0) > len(data) // 4:
        return "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    if _is(data, "utf-8"):
        return "utf-8"
    runs = _HIGH.findall(data)
    mixed = _has_utf8(runs)
    others = [run for run in runs if not (mixed and _is(run, "utf-8"))]
    few = sum(map(len, others)) <= _FEW * len(data)
    if few and max(map(len, others)) <= 2 and _is(b"".join(others), "cp1252"):
        return "cp1252"
    line = next(n for n, text in enumerate(data.splitlines(), start=1) if not _is(text, "utf-8"))
    raise EncodingError(
        f"is not UTF-8 in line {line}; name its encoding with data.encoding, as gb18030, shift_jis "
        "or cp1251, or save it as UTF-8"
    )


def decode_text(data: bytes, encoding: str = "") -> tuple[str, str]:
    """The text and the encoding it was read in. Raises EncodingError."""
    name = encoding or encoding_of(data)
    parts = _HIGH.split(data) if name == "cp1252" and not encoding else [data]
    mixed = len(parts) > 1 and _has_utf8(parts)
    try:
        text = "".join(
            part.decode("utf-8" if mixed and _is(part, "utf-8") else name) for part in parts
        )
    except UnicodeError as error:
        raise EncodingError(f"is not in {name}; see data.encoding") from error
    return text.removeprefix("\ufeff"), name


def _has_utf8(parts: Iterable[bytes]) -> bool:
    return any(_UTF8.search(part) and _is(part, "utf-8") for part in parts)


def _is(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def read_text(path: Path, *, encoding: str, name: str, report: ReadReport) -> str:
    """The text of a file called ``name`` in the ``report``, which tells of unusual encodings.

    Empty where it cannot be read.
    """
    try:
        text, used = decode_text(regular_file(path).read_bytes(), encoding)
    except (ValueError, OSError) as error:
        report.undecodable[name] = str(error)
        return ""
    if used == "cp1252" and not encoding:
        report.recoded[name] = "Windows-1252"
    return text
