"""A table that names images: which column is what, and the records of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from textok.config.check import naming
from textok.data.captions import CAPTION_FIELDS, caption_columns, clean_captions, field_captions
from textok.data.column_names import (
    FILE_NAME,
    FILE_NAMES,
    SPLIT,
    column_called,
    columns_called,
    named_column,
    other_columns,
    without_captions,
)
from textok.data.folder import printable
from textok.data.pictures import Found, PictureFiles
from textok.data.records import Entry, Record, class_name
from textok.data.report import ReadReport
from textok.data.rows import TableRow, read_rows
from textok.data.sidecars import Sidecars
from textok.data.splits import split_name

IMAGE_COLUMNS = (*FILE_NAMES[:-2], "images", *FILE_NAMES[-2:])
"""Names of columns of images; ids come last."""
LOOKED_AT = 100
"""Rows without such a column after which there is none."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file and its columns."""

    path: Path
    image_column: str = ""
    """Empty: the first of ``IMAGE_COLUMNS``."""
    caption_columns: tuple[str, ...] = ()
    """Empty: those that :func:`field_captions` finds."""
    captions_needed: bool = False
    """Refuse the table where there is no such column."""
    delimiter: str = ""
    encoding: str = ""
    split: str = ""
    """Take only rows whose column ``split`` says this one."""
    partial: bool = False
    """Images that are not there are counted, but are no fault of the set."""
    shared: bool = False
    """The images of some rows are in other splits."""
    _seen: dict[str, None] = field(default_factory=dict)

    def read(
        self,
        pictures: PictureFiles,
        report: ReadReport,
        *,
        sidecars: Sidecars | None = None,
    ) -> Iterator[Entry]:
        """One record for each image; several rows of it give several captions.

        The fields of an image are those of its first row. An image whose rows have no caption takes
        that of ``sidecars``.

        Raises:
            ValueError: a row that cannot be read or names no image, or a column that is not there.
        """
        named: set[str] = set()
        yield from self.entries(pictures, report, named, sidecars=sidecars)
        report.unlisted += len(set(pictures.names) - named)

    def entries(
        self,
        pictures: PictureFiles,
        report: ReadReport,
        named: set[str],
        *,
        sidecars: Sidecars | None = None,
    ) -> Iterator[Entry]:
        """What :meth:`read` gives, where several tables name the images of a folder.

        The paths of those that have a row here, of whatever split, are added to ``named``.
        """
        found: dict[str, Entry] = {}
        numbers = self.numbers(pictures)
        if numbers:
            report.numbered[printable(self.path.name)] = numbers
            pictures = replace(pictures, by_number=True)
        for row in self.rows(report):
            name = self.image_name(row)
            split = self.split_of(row) if self.split else ""
            if self.split and split != self.split:
                named.update(filter(None, [split and self._find(name, pictures).path]))
                continue
            if row.surplus and (row := self._joined(row)).surplus:
                report.malformed[name] = (
                    f"{self._where(row)}: {len(row.surplus)} fields too many, put quotes around "
                    "those with a delimiter in them"
                )
                continue
            picture = self._find(name, pictures)
            if picture.path in found:
                record, first = found[picture.path]
                several = (*record.captions, *self._captions(row, report))
                found[picture.path] = (replace(record, captions=several), first)
            elif picture.path:
                found[picture.path] = self._entry(row, picture, pictures.root, report), row.fields
            elif not self.shared:
                self._miss(row, name, picture, report)
        self._check_columns()
        named.update(found)
        if found and not any(record.captions for record, _ in found.values()):
            report.captionless[printable(self.path.name)] = self._without_captions()
        for path, (record, fields) in found.items():
            if not record.captions and sidecars is not None:
                captions, _ = sidecars.captions(path, report)
                record = replace(record, captions=captions)
            yield record, fields

    def numbers(self, pictures: PictureFiles) -> str:
        """How its ids are the numbers of files with zeros before them: ``1 is 000001.png``.

        Empty where that is not sure: some rows have no plain number, or one that several files
        have, or all find their files as they are.
        """
        told = ""
        for row in self.rows(ReadReport()) if pictures.has_zeros else ():
            name = self.image_name(row)
            files = pictures.numbered(name) if name.isdecimal() else ["", ""]
            if len(files) > 1:
                return ""
            as_it_is = self._find(name, pictures).path
            if as_it_is not in ("", *files):
                return ""
            if files and not as_it_is:
                told = told or f"{name} is {printable(files[0])}"
        return told

    def splits(self) -> set[str]:
        """The splits that its rows tell of. Raises ValueError for a row that cannot be read."""
        found: set[str] = set()
        for number, row in enumerate(self.rows(ReadReport())):
            found.add(self.split_of(row))
            if number == LOOKED_AT and found == {""}:
                break
        return found - {""}

    def rows(self, report: ReadReport) -> Iterator[TableRow]:
        """All rows; remembers their columns. Raises ValueError for one that cannot be read."""
        read = read_rows(self.path, self.delimiter, encoding=self.encoding, report=report)
        for row in read:
            self._seen.update(dict.fromkeys(row.fields))
            yield row

    def image_name(self, row: TableRow) -> str:
        """What a row calls its image. Raises ValueError where it names none."""
        wanted = [self.image_column] if self.image_column else IMAGE_COLUMNS
        column = column_called(wanted, row.fields)
        if column is None:
            needed = self.image_column or FILE_NAME
            between = "" if self.path.suffix.startswith(".json") else f", by '{row.delimiter}'"
            raise ValueError(
                f"{self.path} line {row.line}: no {needed}; name the column of images with "
                f"data.image_column{other_columns(wanted[0], self._seen)}{between}"
            )
        name = file_named(row.fields[column])
        if not name:
            raise ValueError(
                f"{self.path} line {row.line}: no name of an image in {column}; each row needs one"
            )
        return name

    def _find(self, name: str, pictures: PictureFiles) -> Found:
        return pictures.find(name, self.path.parent)

    def split_of(self, row: TableRow) -> str:
        """The split that a row says it is of; empty where it says none."""
        column = column_called([SPLIT], row.fields)
        return split_name(str(row.fields[column])) if column else ""

    def _entry(self, row: TableRow, picture: Found, root: Path, report: ReadReport) -> Record:
        label = column_called(["label"], row.fields)
        return Record(
            key=printable(str(row.fields.get("key") or picture.key)),
            captions=self._captions(row, report),
            label=class_name(row.fields[label]) if label else None,
            file=root / picture.path,
        )

    def _captions(self, row: TableRow, report: ReadReport) -> tuple[str, ...]:
        if not self.caption_columns:
            captions = field_captions(row.fields, report)
            wanted: Sequence[str] = caption_columns(list(row.fields))
        else:
            wanted = self.caption_columns
            captions = tuple(
                text
                for name in columns_called(wanted, row.fields)
                for text in clean_captions(row.fields[name], report)
            )
        if not captions and row.absent and columns_called(wanted, row.absent):
            report.short[self._where(row)] = f"{len(row.fields) - len(row.absent)} fields"
        return captions

    def _joined(self, row: TableRow) -> TableRow:
        """The row with the surplus as part of its last column, where that holds captions."""
        last = next(reversed(row.fields), "")
        wanted = self.caption_columns or caption_columns([last])
        value = row.fields.get(last)
        if not columns_called(wanted, [last]) or not isinstance(value, str):
            return row
        whole = row.delimiter.join([value, *row.surplus])
        return replace(row, fields={**row.fields, last: whole}, surplus=())

    def _miss(self, row: TableRow, name: str, picture: Found, report: ReadReport) -> None:
        """Count a row whose image is not there."""
        if self.partial:
            report.pictureless += 1
        else:
            plain = picture.problem == "no such image"
            where = self._where(row)
            report.missing[printable(name)] = where if plain else f"{where}: {picture.problem}"

    def _check_columns(self) -> None:
        """Raise ValueError for columns that no row has, and for a table without rows."""
        if not self._seen:
            raise ValueError(
                f"{self.path} has no rows, so no image that can be read: write a row for each "
                "image, or remove it"
            )
        with naming(self.path):
            for name in self.caption_columns:
                named_column(name, self._seen, "data.caption_columns")
        guessed = not self.caption_columns and not caption_columns(list(self._seen))
        if guessed and self.captions_needed:
            raise ValueError(
                f"{self.path}: no column of captions; name it with data.caption_columns"
                f"{other_columns(CAPTION_FIELDS[0], self._seen)}"
            )

    def _without_captions(self) -> str:
        """What a table has in which no caption was found."""
        names = list(self._seen)
        return without_captions(self.caption_columns or caption_columns(names), names)

    def _where(self, row: TableRow) -> str:
        return f"{self.path.name} line {row.line}"


def file_named(value: object) -> str:
    """The image that a value names, as JSON has it; empty for none, and for several.

    That is a text, a number, a mapping with the path, or a list of one of these.
    """
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping):
        value = value.get(column_called(FILE_NAMES, value))
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # of a column in which some are missing
    known = isinstance(value, (str, int)) and not isinstance(value, bool)
    return str(value).strip() if known else ""
