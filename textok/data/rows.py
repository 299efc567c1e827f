"""The rows of a table: CSV, TSV, JSON lines, or a JSON document."""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from textok.data.documents import document_rows, is_document
from textok.data.report import ReadReport
from textok.data.separated import NUMBER, SAMPLE, headless_columns, records, start_of, trimmed
from textok.data.text_files import EncodingError, decode_text, encoding_of
from textok.runtime.untrusted import regular_file

JSON_LINES = (".jsonl", ".ndjson")
_BLOCK = 1 << 20
_BINARY = {
    b"PAR1": "a parquet file",
    b"PK\x03\x04": "a workbook or an archive",
    b"\xd0\xcf\x11\xe0": "a workbook",
    b"\x1f\x8b": "a compressed file",
    b"SQLite format 3": "a database",
    b"ARROW1": "an Arrow file",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x93NUMPY": "a NumPy array",
    b"%PDF": "a PDF",
}
"""How files start that are no text, and what they are."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row by column. A column that comes twice has a list."""

    line: int
    fields: dict[str, object]
    surplus: tuple[str, ...] = ()
    """Fields beyond the last named column of the header, the empty ones at the end left out."""
    absent: tuple[str, ...] = ()
    """The last columns, for which it has no field."""
    delimiter: str = ","


def read_rows(
    table: Path,
    delimiter: str = "",
    *,
    encoding: str = "",
    report: ReadReport | None = None,
) -> Iterator[TableRow]:
    """The rows of ``table``; ``delimiter`` is taken from its first lines where it is empty.

    The ``report`` is told of another encoding than UTF-8.

    Raises:
        ValueError: a line cannot be read.
    """
    try:
        with _open(table, encoding, report) as stream:
            lines = (line.replace("\0", "") for line in stream)
            if table.suffix.lower() == ".json":
                yield from _document_or_lines(table, "".join(lines))
            elif table.suffix.lower() in JSON_LINES:
                yield from _json_rows(table, lines)
            else:
                yield from _separated(table, lines, delimiter)
    except EncodingError as error:
        raise ValueError(f"{table} {error}") from error
    except (UnicodeError, csv.Error) as error:
        raise ValueError(f"{table} cannot be read: {error}; see data.encoding") from error


def _open(table: Path, encoding: str, report: ReadReport | None) -> TextIO:
    """The text of a file of any size: only one that is not in UTF-8 is read whole.

    Raises:
        ValueError: it is no text, or its encoding cannot be told.
    """
    with regular_file(table).open("rb") as stream:
        head = stream.read(_BLOCK)
    kind = next((kind for start, kind in _BINARY.items() if head.startswith(start)), "")
    if kind:
        raise ValueError(f"{table} is {kind}, no text: unpack or save it as CSV or JSON lines")
    used = encoding or _encoding(table, head)
    if used != "cp1252" or encoding:
        return table.open(encoding="utf-8-sig" if used == "utf-8" else used, newline="")
    if report is not None:
        report.recoded[table.name] = "Windows-1252"
    return io.StringIO(decode_text(table.read_bytes())[0], newline="")


def _encoding(table: Path, head: bytes) -> str:
    """UTF-8 is checked block by block."""
    if _is_wide(head):
        return encoding_of(head[: len(head) // 4 * 4])
    decoder = codecs.getincrementaldecoder("utf-8")()
    with table.open("rb") as stream:
        try:
            while block := stream.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return encoding_of(table.read_bytes())
    return "utf-8"


def _is_wide(head: bytes) -> bool:
    """UTF-16 and UTF-32 show in the first bytes."""
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    return marked or head.count(0) > len(head) // 4


def _separated(table: Path, lines: Iterator[str], delimiter: str) -> Iterator[TableRow]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # 131,072 characters otherwise
    sample = list(islice(lines, SAMPLE))
    skipped, between = start_of(table, sample, delimiter)
    found = records(table, chain(sample[skipped:], lines), between, skipped=skipped)
    headless = headless_columns(sample[skipped:], between)
    _, header = (0, headless) if headless else next(found, (0, []))
    names = trimmed([name.strip() for name in header])
    for line, values in found:
        first = NUMBER.sub("", values[0]) if headless else values[0]
        yield _row(names, [first, *values[1:]], line=line, delimiter=between)


def _document_or_lines(table: Path, text: str) -> Iterator[TableRow]:
    """A document, or JSON lines, which many programs call ``.json`` as well."""
    first, _, rest = text.lstrip().partition("\n")
    if rest.strip() and isinstance(_parsed(first), dict):
        yield from _json_rows(table, io.StringIO(text, newline=""))
    else:
        yield from _document(table, text)


def _document(table: Path, text: str) -> Iterator[TableRow]:
    try:
        rows = document_rows(parse_json(text))
        yield from (TableRow(line=line, fields=row) for line, row in enumerate(rows, start=1))
    except ValueError as error:
        raise ValueError(f"{table}: no JSON of images and captions ({error})") from error


def _json_rows(table: Path, lines: Iterator[str]) -> Iterator[TableRow]:
    first = next(lines, "")
    second = next(lines, "")
    if _is_open(first) or (not second.strip() and _is_whole(first)):
        yield from _document(table, "".join(chain([first, second], lines)))
        return
    for line, text in enumerate(chain([first, second], lines), start=1):
        if not text.strip():
            continue
        try:
            fields = parse_json(text)
        except ValueError as error:
            raise ValueError(f"{table} line {line}: no JSON ({error}); repair the line") from error
        if not isinstance(fields, dict):
            raise ValueError(f"{table} line {line}: a JSON object is needed")
        yield TableRow(line=line, fields=fields)


def _is_open(text: str) -> bool:
    """Whether a line begins a list that goes on, or an object over many lines."""
    text = text.strip()
    return text == "{" or (text.startswith("[") and not text.endswith("]"))


def _is_whole(text: str) -> bool:
    """Whether a line is a document."""
    found = _parsed(text)
    if isinstance(found, list):
        return any(isinstance(entry, dict) for entry in found)
    return isinstance(found, dict) and is_document(found)


def _parsed(text: str) -> object:
    """What a JSON says; None where it cannot be read."""
    try:
        return parse_json(text)
    except ValueError:
        return None


def parse_json(text: str) -> Any:
    """A JSON value. Raises ValueError, for one that is nested too deeply or too long as well."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(error.msg) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _row(names: Sequence[str], values: Sequence[str], *, line: int, delimiter: str) -> TableRow:
    fields: dict[str, object] = {}
    for name, value in zip(names, values, strict=False):
        if name and name in fields:
            earlier = fields[name]
            fields[name] = [*(earlier if isinstance(earlier, list) else [earlier]), value]
        elif name:
            fields[name] = value
    absent = tuple(name for name in names[len(values) :] if name)
    fields |= dict.fromkeys(absent)
    surplus = trimmed(values[len(names) :])
    return TableRow(
        line=line, fields=fields, surplus=tuple(surplus), absent=absent, delimiter=delimiter
    )
