"""Records of memory-mapped Arrow tables, as the `datasets` library keeps them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textok.data.captions import clean_captions, field_captions
from textok.data.column_names import SPLIT, column_called, without_captions
from textok.data.columns import Columns
from textok.data.records import Entry, Record, class_name
from textok.data.report import ReadReport
from textok.data.splits import in_order, split_name

ROWS_AT_ONCE = 1000
Locate = Callable[[int, str], Path | None]
"""The file that the path in a row means."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrowPictures:
    """Encoded images in one column of a table on disk, read row by row."""

    table: Any
    """A `datasets.Dataset` of that column, memory-mapped: pickled, it is the names of its files."""

    def read_bytes(self, row: int) -> bytes:
        """The encoded image of a row."""
        value = self.table[row].column(0)[0].as_py()
        return value["bytes"] if isinstance(value, dict) else value


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split of a set of tables."""

    name: str
    """Empty where the set has no splits."""
    table: Any
    """A memory-mapped `datasets.Dataset`."""
    columns: Columns
    file: Path
    """Stands for the split in records: no two splits have the same."""
    locate: Locate
    by_row: bool = False
    """Whether a column ``split`` says which split each row is of, and there are no others."""


def read_splits(splits: Sequence[Split], report: ReadReport, *, only: str = "") -> Iterator[Entry]:
    """One record for each row; rows without an image are counted in ``report.missing``.

    The key is the first of the columns that can be, whose values differ in all rows of the
    ``splits``; without such a column it is SPLIT/ROW. ``only``: of a table whose rows say which
    split they are of, the rows of this one.
    """
    key = next((name for name in splits[0].columns.keys if _differ(splits, name)), "")
    for split in splits:
        yield from _read(split, key, only, report)


def row_splits(values: Iterable[object]) -> tuple[str, ...]:
    """The splits that a column ``split`` tells apart; none where it does not tell all rows'."""
    found = {split_name(value) if isinstance(value, str) else "" for value in set(values)}
    return () if "" in found or len(found) < 2 else tuple(in_order(found))


def _read(split: Split, key: str, only: str, report: ReadReport) -> Iterator[Entry]:
    columns = split.columns
    if columns.captions and not columns.told:
        report.reads_from.append(f"the column {' and '.join(columns.captions)}")
    pictures = ArrowPictures(table=split.table.select_columns([columns.image]).with_format("arrow"))
    texts = {*columns.captions, *columns.fields, columns.label, key} - {""}
    of_split = column_called([SPLIT], split.table.column_names) if split.by_row else None
    texts |= {of_split} if of_split else set()
    known = [name for name in split.table.column_names if name in {columns.image, *texts}]
    captioned, row = False, -1
    for batch in split.table.select_columns(known).with_format("arrow").iter(ROWS_AT_ONCE):
        places = _places(batch.column(columns.image), columns.holds)
        others = {name: _values(split, name, batch) for name in known if name in texts}
        for at, (inside, path) in enumerate(places):
            row += 1
            values = {name: column[at] for name, column in others.items()}
            own = split_name(str(values[of_split])) if of_split else split.name
            if only and own != only:
                continue
            name = str(values[key]) if key else f"{own}/{row}".removeprefix("/")
            file = split.locate(row, path) if path and not inside else None
            if inside or file is not None:
                record = Record(
                    key=name,
                    captions=_captions(columns, values, report),
                    label=class_name(_value(columns, columns.label, values.get(columns.label))),
                    file=file or split.file,
                    span=None if file else (row, 1),
                    rows=None if file else pictures,
                )
                fields = {n: _value(columns, n, values[n]) for n in columns.fields if n in values}
                captioned = captioned or bool(record.captions)
                yield record, fields
            else:
                where = f"row {row} of {own}" if own else f"row {row}"
                report.missing[name] = f"{where}: no {path}" if path else f"{where}: no image"
    if not captioned:
        report.captionless[split.file.name] = without_captions(
            columns.captions, split.table.column_names
        )


def _values(split: Split, name: str, batch: Any) -> list[Any]:
    try:
        values: list[Any] = batch.column(name).to_pylist()
    except UnicodeDecodeError as error:
        raise ValueError(f"{split.file}: column {name} is not in UTF-8 ({error})") from None
    return values


def _captions(
    columns: Columns, values: Mapping[str, object], report: ReadReport
) -> tuple[str, ...]:
    own = {name: _turned(values[name]) for name in columns.captions if name in values}
    if not columns.told:
        return field_captions(own, report) if own else ()
    return tuple(text for value in own.values() for text in clean_captions(value, report))


def _turned(value: object) -> object:
    """A mapping of lists, as tables keep a list of mappings, as that list."""
    if isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values()):
        return [dict(zip(value, one, strict=False)) for one in zip(*value.values(), strict=False)]
    return value


def _places(column: Any, holds: str) -> list[tuple[bool, str]]:
    """Whether each row holds an image, and the path that it has; no image is read."""
    import pyarrow.compute as pc

    if holds == "files":
        return [(False, str(path or "").strip()) for path in column.to_pylist()]
    if holds == "bytes":
        return [(inside, "") for inside in pc.is_valid(column).to_pylist()]
    inside = pc.is_valid(pc.struct_field(column, "bytes")).to_pylist()
    names = [column.type.field(number).name for number in range(column.type.num_fields)]
    paths: list[Any] = [""] * len(inside)
    if "path" in names:
        paths = pc.struct_field(column, "path").to_pylist()
    return [(there, path or "") for there, path in zip(inside, paths, strict=True)]


def _differ(splits: Sequence[Split], name: str) -> bool:
    """Whether a column is there, full, and has another value in each row of all splits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if any(name not in split.table.column_names for split in splits):
        return False
    chunks = [chunk for split in splits for chunk in split.table.data.column(name).chunks]
    if len({str(chunk.type) for chunk in chunks}) != 1 or any(chunk.null_count for chunk in chunks):
        return False
    column = pa.chunked_array(chunks)
    empty = not pa.types.is_integer(column.type) and pc.any(pc.equal(column, "")).as_py()
    return not empty and pc.count_distinct(column).as_py() == len(column)


def _value(columns: Columns, name: str, value: object) -> object:
    """A value as ``data.where`` and JSON take it; a number of a class becomes its name."""
    names = columns.classes.get(name)
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    if isinstance(value, list):
        return [_value(columns, name, one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # pandas writes whole numbers so, where one is missing
    if value is None or isinstance(value, (str, int, float)):
        return None if value != value else value
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)
