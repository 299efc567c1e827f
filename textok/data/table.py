"""A table that names images: which column is what, and the records of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from textok.data.pictures import Found, PictureFiles
from textok.data.records import (
    CAPTION_FIELDS,
    Entry,
    ReadReport,
    Record,
    clean_captions,
)
from textok.data.rows import TableRow, read_rows

FILE_NAME = "file_name"
IMAGE_COLUMNS = (
    *(FILE_NAME, "filename", "file", "image", "image_path", "image_name", "path", "img"),
    *("image_id", "id"),
)
"""Names of the column of images in tables that the user names; the first one there holds."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file and its columns."""

    path: Path
    image_column: str = FILE_NAME
    """Empty: the first of ``IMAGE_COLUMNS``."""
    caption_columns: tuple[str, ...] = ()
    """Empty: the first of ``captions``, ``caption`` and ``text``."""
    captions_needed: bool = False
    """Refuse the table where there is no such column."""
    delimiter: str = ""
    anywhere: bool = False
    """Look for pictures in sub-folders too, and by names without a suffix."""
    _seen: dict[str, None] = field(default_factory=dict)

    def read(self, pictures: PictureFiles, report: ReadReport) -> Iterator[Entry]:
        """One record for each image; several rows of it give several captions.

        The fields of an image are those of its first row.

        Raises:
            ValueError: a row that cannot be read or names no image, or a column that is not there.
        """
        found: dict[str, Entry] = {}
        for row in read_rows(self.path, self.delimiter):
            self._seen.update(dict.fromkeys(row.fields))
            name = self._image_name(row)
            if row.surplus and (row := self._joined(row)).surplus:
                report.malformed[name] = (
                    f"{self.path.name} line {row.line}: {len(row.surplus)} fields too many, put "
                    "quotes around those with a delimiter in them"
                )
                continue
            picture = self._find(pictures, name)
            if picture.path in found:
                record, first = found[picture.path]
                several = (*record.captions, *self._captions(row))
                found[picture.path] = (replace(record, captions=several), first)
            elif picture.path:
                found[picture.path] = self._entry(row, picture, pictures.root), row.fields
            else:
                where = f"{self.path.name} line {row.line}"
                told = picture.problem.startswith("several")
                report.missing[name] = f"{where}: {picture.problem}" if told else where
        self._check_captions()
        report.unlisted = len(set(pictures.names) - found.keys())
        yield from found.values()

    def _entry(self, row: TableRow, picture: Found, root: Path) -> Record:
        label = row.fields.get("label")
        return Record(
            key=str(row.fields.get("key") or picture.key),
            captions=self._captions(row),
            label=None if label is None or label == "" else str(label),
            file=root / picture.path,
        )

    def _find(self, pictures: PictureFiles, name: str) -> Found:
        return pictures.find(name) if self.anywhere else pictures.at(name)

    def _image_name(self, row: TableRow) -> str:
        wanted = [self.image_column] if self.image_column else IMAGE_COLUMNS
        column = _first_there(wanted, row.fields)
        if column is None:
            raise ValueError(
                f"{self.path} line {row.line}: no {self.image_column or 'column of images'}; name "
                f"it with data.image_column{self._others(wanted)}"
            )
        value = row.fields[column]
        if not isinstance(value, (str, int)) or not str(value).strip():
            raise ValueError(f"{self.path} line {row.line}: no {column}; each row needs one")
        return str(value).strip()

    def _captions(self, row: TableRow) -> tuple[str, ...]:
        groups: list[Sequence[str]] = [[name] for name in self.caption_columns]
        columns = (_first_there(names, row.fields) for names in groups or [CAPTION_FIELDS])
        texts = (clean_captions(row.fields[name]) for name in columns if name is not None)
        return tuple(text for several in texts for text in several)

    def _joined(self, row: TableRow) -> TableRow:
        """The row with the surplus as part of its last column, where that holds captions."""
        last = next(reversed(row.fields), "")
        wanted = self.caption_columns or CAPTION_FIELDS
        value = row.fields.get(last)
        if _first_there(wanted, {last: value}) is None or not isinstance(value, str):
            return row
        whole = row.delimiter.join([value, *row.surplus])
        return replace(row, fields={**row.fields, last: whole}, surplus=())

    def _check_captions(self) -> None:
        """Raise ValueError for columns that no row has."""
        if not self._seen:
            return
        absent = [name for name in self.caption_columns if not _first_there([name], self._seen)]
        if absent:
            raise ValueError(
                f"{self.path}: no column {absent[0]} of data.caption_columns{self._others(absent)}"
            )
        guessed = self.captions_needed and not self.caption_columns
        if guessed and _first_there(CAPTION_FIELDS, self._seen) is None:
            raise ValueError(
                f"{self.path}: no column of captions; name it with data.caption_columns"
                f"{self._others(CAPTION_FIELDS)}"
            )

    def _others(self, wanted: Sequence[str]) -> str:
        """The nearest column that there is, and all of them."""
        there = {name.casefold(): name for name in self._seen}
        close = get_close_matches(wanted[0].casefold(), there, n=1)
        hint = f"did you mean '{there[close[0]]}'? " if close else ""
        return f"; {hint}there are {', '.join(self._seen) or 'none'}"


def _first_there(wanted: Sequence[str], fields: Mapping[str, object]) -> str | None:
    """The first wanted column that there is; case and spaces around do not matter."""
    for name in wanted:
        if name in fields:
            return name
    there = {name.strip().casefold(): name for name in fields}
    plain = (name.strip().casefold() for name in wanted)
    return next((there[name] for name in plain if name in there), None)
