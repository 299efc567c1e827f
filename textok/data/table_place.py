"""Where a table lies that names the images of a folder, and where its images do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from textok.config.check import require
from textok.config.data import SourceConfig
from textok.data.captions import caption_columns
from textok.data.column_names import column_called, columns_called
from textok.data.folder import FolderFiles, is_image, list_folder, printable, suffix_of
from textok.data.pictures import PictureFiles
from textok.data.report import ReadReport
from textok.data.rows import TableRow
from textok.data.splits import split_name
from textok.data.table import IMAGE_COLUMNS, Table, file_named

DEEP = 2
"""Tables are looked for this many folders down."""
MANY = 50
"""So many files of one kind in a folder are no tables, but captions of an image each."""
LARGEST = 200 << 20
"""A document of more bytes is looked into only if its name has "caption" in it."""
GIVE_UP = 20_000
"""Rows without an image after which a table is of other ones."""
LOOKED_AT = 1 << 16
"""Bytes of a damaged file that are searched for the name of an image."""
_WORDS = re.compile(r"[ _.-]|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""What separates the words of a name, as of ``captions_val.json`` and ``captionsVal.json``."""
_BETWEEN = re.compile(r"[\"',;:|\t\r\n#\[\]{}]+")
"""What separates values in any kind of table."""


@dataclass(frozen=True, kw_only=True)
class FoundTable:
    """A table that was recognised by what it says."""

    table: Table
    name: str
    """Relative to the folder."""
    has_captions: bool
    has_labels: bool
    splits: tuple[str, ...] = ()
    """What its column ``split`` says."""

    @property
    def path(self) -> Path:
        """Of its file."""
        return self.table.path

    @property
    def split(self) -> str:
        """Which split its own name says it is of, as ``captions_val2017.json``; empty for none."""
        words = _WORDS.split(PurePosixPath(self.name).stem)
        return next(filter(None, map(split_name, words)), "")

    def is_of(self, split: str) -> bool:
        """Whether it may hold captions of a split."""
        return not split or not self.split or self.split == split_name(split)

    def description(self) -> str:
        """What is read of it."""
        columns = self.table.caption_columns or (["captions"] if self.has_captions else ["classes"])
        return f"{self.name} ({self.table.image_column}: {', '.join(columns)})"


def open_table(config: SourceConfig, path: Path, folder: Path) -> tuple[Table, PictureFiles]:
    """The table and the images of the data set at ``path``, of its split at ``folder``.

    Relative names are looked for in the split first. Without ``images`` the images lie anywhere
    below the split.

    Raises:
        ValueError: no such table or folder; names the closest one.
    """
    root = _first(config.images, folder, path, is_folder=True) if config.images else folder
    table = Table(
        path=_first(config.table, folder, path, is_folder=False),
        image_column=config.image_column,
        caption_columns=config.caption_columns,
        captions_needed=True,
        delimiter=config.delimiter,
        encoding=config.encoding,
    )
    names = list_folder(root).images
    require(bool(names), f"{root} has no images; name their folder with data.images")
    return table, PictureFiles(root=root, names=names, allow_outside=config.allow_outside)


def find_tables(
    files: FolderFiles,
    used: Sequence[str],
    pictures: PictureFiles,
    config: SourceConfig,
    problems: dict[str, str] | None = None,
) -> list[FoundTable]:
    """The tables among ``files`` that name any of the ``pictures``, but for those ``used``.

    ``problems`` is told, by name, of those that name some but cannot be read, and why.
    """
    told = {} if problems is None else problems
    found = (
        _recognise(files.root / name, name, pictures, config, told)
        for name in _candidates(files, used)
    )
    return [table for table in found if table is not None]


def _candidates(files: FolderFiles, used: Sequence[str]) -> list[str]:
    known = set(used)
    names = [n for n in files.tables if n.count("/") <= DEEP and n not in known]
    kinds = Counter((str(PurePosixPath(n).parent), suffix_of(n)) for n in names)
    few = [n for n in names if kinds[str(PurePosixPath(n).parent), suffix_of(n)] <= MANY]
    there = [n for n in few if (files.root / n).is_file()]  # no pipe, and no link to nothing
    return [
        n for n in there if "caption" in n.casefold() or (files.root / n).stat().st_size < LARGEST
    ]


def _recognise(
    path: Path,
    name: str,
    pictures: PictureFiles,
    config: SourceConfig,
    problems: dict[str, str],
) -> FoundTable | None:
    """The table, if a row of it names an image; None for any other file."""
    table = Table(
        path=path,
        caption_columns=config.caption_columns,
        delimiter=config.delimiter,
        encoding=config.encoding,
        partial=True,
    )
    wanted = [config.image_column] if config.image_column else None
    column, splits, seen = "", set[str](), dict[str, None]()
    if wanted is not None:
        with suppress(ValueError, OSError):  # which are told of below
            named = replace(table, image_column=config.image_column)
            pictures = replace(pictures, by_number=bool(named.numbers(pictures)))
    try:
        for number, row in enumerate(table.rows(ReadReport())):
            if not column and number == GIVE_UP:
                return None
            seen.update(dict.fromkeys(row.fields))
            column = column or _image_column(row, pictures, wanted, path.parent)
            splits.add(table.split_of(row))
    except OSError:
        return None
    except ValueError as error:
        if column or _names_images(path, pictures):
            problems[printable(name)] = str(error).removeprefix(str(path)).lstrip(": ")
        return None
    if not column:
        return None
    return FoundTable(
        table=replace(table, image_column=column),
        name=name,
        has_captions=bool(config.caption_columns or caption_columns(list(seen))),
        has_labels=column_called(["label"], seen) is not None,
        splits=tuple(sorted(splits - {""})) if len(splits) > 1 or "" not in splits else (),
    )


def _names_images(path: Path, pictures: PictureFiles) -> bool:
    """Whether a file that cannot be read has the name of an image in it, in whatever encoding.

    That has a suffix, or is the first word of a row.
    """
    with path.open("rb") as stream:
        lines = stream.read(LOOKED_AT).decode("latin-1").splitlines()
    rows = [[word.strip() for word in _BETWEEN.split(line) if word.strip()] for line in lines]
    names = [name for row in rows for name in row if is_image(name)]
    names += [row[0] for row in rows if row and not path.suffix.startswith(".json")]
    return any(pictures.find(name, path.parent).path for name in names)


def _image_column(
    row: TableRow, pictures: PictureFiles, wanted: Sequence[str] | None, folder: Path
) -> str:
    """The column whose value in this row is an image: a usual name, or any with such a value."""
    names = columns_called(wanted or IMAGE_COLUMNS, row.fields)
    others = [] if wanted else [n for n, v in row.fields.items() if is_image(file_named(v))]
    for name in [*names, *others]:
        text = file_named(row.fields[name])
        if text and pictures.find(text, folder).path:
            return name
    return ""


def _first(name: str, *folders: Path, is_folder: bool) -> Path:
    """The first that is there; ``name`` itself where it is absolute."""
    places = [folder / Path(name).expanduser() for folder in folders]
    for place in places:
        if place.is_dir() if is_folder else place.is_file():
            return place
    setting, kind = ("data.images", "folder") if is_folder else ("data.table", "file")
    parent = places[-1].parent
    there = [p.name for p in parent.iterdir() if p.is_dir() == is_folder] if parent.is_dir() else []
    close = get_close_matches(Path(name).name, there, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else f"; {parent} has {_some(there)}"
    raise ValueError(f"{setting} {name}: no such {kind} in {folders[-1]}{hint}")


def _some(names: list[str]) -> str:
    shown = sorted(name for name in names if not name.startswith("."))
    return ", ".join(shown[:5] + (["..."] if len(shown) > 5 else [])) or "none"
