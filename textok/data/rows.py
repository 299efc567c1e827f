"""The rows of a table: CSV, TSV, JSON lines, or a JSON document."""

from __future__ import annotations

import codecs
import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textok.data.documents import document_rows
from textok.data.formats import IMAGE_SUFFIXES
from textok.data.report import ReadReport
from textok.data.text_files import EncodingError, encoding_of

DELIMITERS = (",", ";", "\t", "|")
NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
_BLOCK = 1 << 20
_IMAGE_NAME = re.compile(
    rf"[^,;|\t\n]*({'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})\"?\s*[,;|\t#]", re.IGNORECASE
)


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
    columns: Sequence[str] = (),
) -> Iterator[TableRow]:
    """The rows of ``table``; ``delimiter`` is taken from the header line where it is empty.

    ``columns`` are the names of a table without a header. The ``report`` is told of another
    encoding than UTF-8.

    Raises:
        ValueError: a line cannot be read.
    """
    try:
        used = encoding or _encoding(table)
        if used == "cp1252" and report is not None and not encoding:
            report.recoded[table.name] = "Windows-1252"
        with table.open(encoding="utf-8-sig" if used == "utf-8" else used, newline="") as stream:
            lines = (line.replace("\0", "") for line in stream)
            if table.suffix.lower() == ".json":
                yield from _document(table, "".join(lines))
            elif table.suffix.lower() in JSON_LINES:
                yield from _json_rows(table, lines)
            else:
                yield from _separated(table, lines, delimiter, columns)
    except EncodingError as error:
        raise ValueError(f"{table} {error}") from error
    except (UnicodeError, csv.Error) as error:
        raise ValueError(f"{table} cannot be read: {error}; see data.encoding") from error


def _encoding(table: Path) -> str:
    """Of a file of any size: UTF-8 is checked block by block, and only others are read whole."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with table.open("rb") as stream:
        head = stream.read(_BLOCK)
        if encoding_of_head(head) not in ("", "utf-8", "utf-8-sig"):
            return encoding_of(head[: len(head) // 4 * 4])
        try:
            block = head
            while block:
                decoder.decode(block)
                block = stream.read(_BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return encoding_of(table.read_bytes())
    return "utf-8"


def encoding_of_head(head: bytes) -> str:
    """UTF-16 and UTF-32 show in the first bytes; empty where more must be seen."""
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    return "utf-16" if marked or head.count(0) > len(head) // 4 else ""


def _separated(
    table: Path, lines: Iterator[str], delimiter: str, columns: Sequence[str]
) -> Iterator[TableRow]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # 131,072 characters otherwise
    head = next(lines, "")
    between = NAMED_DELIMITERS.get(delimiter, delimiter) or delimiter_of(table, head)
    reader = csv.reader(_again(head, lines), delimiter=between)
    names = list(columns) or _trimmed([name.strip() for name in next(reader, [])])
    before = reader.line_num
    for values in reader:
        _check_quotes(table, values, first=before + 1)
        before = reader.line_num
        if values:
            yield _row(names, values, line=reader.line_num, delimiter=between)


def _again(head: str, lines: Iterable[str]) -> Iterator[str]:
    yield head
    yield from lines


def _check_quotes(table: Path, values: Sequence[str], *, first: int) -> None:
    """A quote that is not closed takes the rows after it into its field."""
    swallowed = any(
        _IMAGE_NAME.match(line)
        for value in values
        if "\n" in value
        for line in value.splitlines()[1:]
    )
    if swallowed:
        raise ValueError(
            f'{table} line {first}: a quote (") opens here and takes the next rows into its field; '
            "double it, or remove it"
        )


def _document(table: Path, text: str) -> Iterator[TableRow]:
    try:
        rows = document_rows(parse_json(text))
        yield from (TableRow(line=line, fields=row) for line, row in enumerate(rows, start=1))
    except ValueError as error:
        raise ValueError(f"{table}: no JSON of images and captions ({error})") from error


def _json_rows(table: Path, lines: Iterator[str]) -> Iterator[TableRow]:
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        if line == 1 and text.lstrip().startswith("[") and not text.rstrip().endswith("]"):
            yield from _document(table, "".join(_again(text, lines)))  # a list over many lines
            return
        try:
            fields = parse_json(text)
        except ValueError as error:
            raise ValueError(f"{table} line {line}: no JSON ({error}); repair the line") from error
        if line == 1 and isinstance(fields, list) and any(isinstance(f, dict) for f in fields):
            yield from _document(table, text)
            return
        if not isinstance(fields, dict):
            raise ValueError(f"{table} line {line}: a JSON object is needed")
        yield TableRow(line=line, fields=fields)


def parse_json(text: str) -> Any:
    """A JSON value. Raises ValueError, for one that is nested too deeply or too long as well."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(error.msg) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def delimiter_of(table: Path, head: str) -> str:
    """A tab in a ``.tsv``, else the most frequent of ``DELIMITERS`` in the first line."""
    if table.suffix.lower() in (".tsv", ".tab") and "\t" in head:
        return "\t"
    return max(DELIMITERS, key=head.count)


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
    surplus = _trimmed(values[len(names) :])
    return TableRow(
        line=line, fields=fields, surplus=tuple(surplus), absent=absent, delimiter=delimiter
    )


def _trimmed(values: Sequence[str]) -> list[str]:
    """Without the empty ones at the end."""
    kept = list(values)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept
