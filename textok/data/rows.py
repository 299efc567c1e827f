"""The rows of a table: CSV, TSV, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

DELIMITERS = (",", ";", "\t", "|")
NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}
JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row by column. A column that comes twice has a list."""

    line: int
    fields: dict[str, object]
    surplus: tuple[str, ...] = ()
    """Fields beyond the last named column of the header, the empty ones at the end left out."""
    delimiter: str = ","


def read_rows(table: Path, delimiter: str = "") -> Iterator[TableRow]:
    """The rows of ``table``; ``delimiter`` is taken from the header line where it is empty.

    Raises:
        ValueError: a line cannot be read.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            if table.suffix.lower() in JSON_LINES:
                yield from _json_rows(table, stream)
                return
            head = stream.readline()
            stream.seek(0)
            between = NAMED_DELIMITERS.get(delimiter, delimiter) or _delimiter(table, head)
            reader = csv.reader(stream, delimiter=between)
            names = _trimmed([name.strip() for name in next(reader, [])])
            for values in reader:
                if values:
                    yield _row(names, values, line=reader.line_num, delimiter=between)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} cannot be read: {error}; save it as UTF-8 text") from error


def _json_rows(table: Path, lines: Iterator[str]) -> Iterator[TableRow]:
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            problem = f"{table} line {line}: no JSON ({error.msg}); repair the line"
            raise ValueError(problem) from error
        if not isinstance(fields, dict):
            raise ValueError(f"{table} line {line}: a JSON object is needed")
        yield TableRow(line=line, fields=fields)


def _delimiter(table: Path, head: str) -> str:
    if table.suffix.lower() in (".tsv", ".tab"):
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
    fields |= {name: None for name in names[len(values) :] if name}
    surplus = _trimmed(values[len(names) :])
    return TableRow(line=line, fields=fields, surplus=tuple(surplus), delimiter=delimiter)


def _trimmed(values: Sequence[str]) -> list[str]:
    """Without the empty ones at the end."""
    kept = list(values)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept
