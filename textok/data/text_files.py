"""Texts of unknown encoding."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from textok.data.report import ReadReport

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16: its mark begins with that one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FEW = 0.25
"""At most this share of a text in a western encoding lies beyond ASCII."""


class EncodingError(ValueError):
    """Bytes whose encoding cannot be told."""


def encoding_of(data: bytes) -> str:
    """The encoding of a text: by its mark, else UTF-8, UTF-16 or Windows-1252.

    Windows-1252 is taken for a text in which few and single characters lie beyond ASCII; in others,
    where each byte could be half a Chinese or a Russian letter, nothing is guessed.

    Raises:
        EncodingError: none of those.
    """
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            return name
    if data.count(0) > len(data) // 4:
        return "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    high = re.findall(rb"[\x80-\xff]+", data)
    if max(map(len, high)) <= 2 and sum(map(len, high)) <= _FEW * len(data):
        try:
            data.decode("cp1252")
        except UnicodeDecodeError:
            pass
        else:
            return "cp1252"
    raise EncodingError(
        "is not UTF-8; name its encoding with data.encoding, as gb18030, shift_jis or cp1251"
    )


def decode_text(data: bytes, encoding: str = "") -> tuple[str, str]:
    """The text and the encoding it was read in. Raises EncodingError."""
    name = encoding or encoding_of(data)
    try:
        return data.decode(name).removeprefix("\ufeff"), name
    except UnicodeError as error:
        raise EncodingError(f"is not in {name}; see data.encoding") from error


def read_text(path: Path, *, encoding: str, name: str, report: ReadReport) -> str:
    """The text of a file called ``name`` in the ``report``, which tells of unusual encodings.

    Empty where it cannot be read.
    """
    try:
        text, used = decode_text(path.read_bytes(), encoding)
    except (EncodingError, OSError) as error:
        report.undecodable[name] = str(error)
        return ""
    if used == "cp1252" and not encoding:
        report.recoded[name] = "Windows-1252"
    return text
