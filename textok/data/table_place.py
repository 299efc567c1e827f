"""Where a table lies that names the images of a folder, and where its images do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePosixPath

from textok.config.check import require
from textok.config.data import SourceConfig
from textok.data.captions import caption_columns
from textok.data.column_names import FILE_NAMES, columns_called
from textok.data.folder import FolderFiles, is_image, list_folder, suffix_of
from textok.data.pictures import PictureFiles
from textok.data.report import ReadReport
from textok.data.rows import TableRow, delimiter_of
from textok.data.splits import split_name
from textok.data.table import Table

DEEP = 2
"""Tables are looked for this many folders down."""
MANY = 50
"""So many files of one kind in a folder are no tables, but captions of an image each."""
LARGEST = 200 << 20
"""A document of more bytes is looked into only if its name has "caption" in it."""
GIVE_UP = 20_000
"""Rows without an image after which a table is of other ones."""
LINES = 100
"""Of a table without a header, one of which says something in words."""


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
        words = re.split(r"[ _.-]", PurePosixPath(self.name).stem)
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
    files: FolderFiles, used: Sequence[str], pictures: PictureFiles, config: SourceConfig
) -> list[FoundTable]:
    """The tables among ``files`` that name any of the ``pictures``, but for those ``used``."""
    found = []
    for name in _candidates(files, used):
        table = _recognise(files.root / name, name, pictures, config)
        if table is not None:
            found.append(table)
    return found


def _candidates(files: FolderFiles, used: Sequence[str]) -> list[str]:
    known = set(used)
    names = [n for n in files.tables if n.count("/") <= DEEP and n not in known]
    kinds = Counter((str(PurePosixPath(n).parent), suffix_of(n)) for n in names)
    few = [n for n in names if kinds[str(PurePosixPath(n).parent), suffix_of(n)] <= MANY]
    return [
        n for n in few if "caption" in n.casefold() or (files.root / n).stat().st_size < LARGEST
    ]


def _recognise(
    path: Path, name: str, pictures: PictureFiles, config: SourceConfig
) -> FoundTable | None:
    """The table, if a row of it names an image; None for any other file."""
    plain = Table(
        path=path,
        caption_columns=config.caption_columns,
        delimiter=config.delimiter,
        encoding=config.encoding,
        partial=True,
    )
    try:
        return _without(plain, name, pictures) or _with_header(plain, name, pictures, config)
    except (ValueError, OSError):
        return None


def _with_header(
    plain: Table, name: str, pictures: PictureFiles, config: SourceConfig
) -> FoundTable | None:
    wanted = [config.image_column] if config.image_column else None
    column, splits, seen = "", set[str](), dict[str, None]()
    for number, row in enumerate(plain.rows(ReadReport())):
        if not column and number == GIVE_UP:
            return None
        seen.update(dict.fromkeys(row.fields))
        column = column or _image_column(row, pictures, wanted)
        splits.add(split_name(str(row.fields.get("split", ""))))
    if not column:
        return None
    return FoundTable(
        table=replace(plain, image_column=column),
        name=name,
        has_captions=bool(config.caption_columns or caption_columns(list(seen))),
        has_labels="label" in seen,
        splits=tuple(sorted(splits - {""})) if len(splits) > 1 or "" not in splits else (),
    )


def _without(plain: Table, name: str, pictures: PictureFiles) -> FoundTable | None:
    """A table of names and captions that has no header, as Flickr8k.token.txt."""
    if plain.path.suffix.startswith(".json"):
        return None
    with plain.path.open(encoding="utf-8-sig", errors="replace") as stream:
        lines = list(islice(stream, LINES))
    head = next(iter(lines), "")
    between = plain.delimiter or ("\t" if "\t" in head else delimiter_of(plain.path, head))
    first, *others = (part.strip().strip('"') for part in head.split(between))
    first = first.partition("#")[0]
    if not others or not is_image(first) or not pictures.find(first).path:
        return None
    last = (line.rpartition(between)[2] for line in lines)
    if not any(letter.isalpha() for text in last for letter in text):
        return None  # numbers, as of a box or a class
    columns = ("file_name", *("" for _ in others[1:]), "caption")
    table = replace(plain, columns=columns, delimiter=between, image_column="file_name")
    return FoundTable(table=table, name=name, has_captions=True, has_labels=False)


def _image_column(row: TableRow, pictures: PictureFiles, wanted: Sequence[str] | None) -> str:
    """The column whose value in this row is an image: a usual name, or any with such a value."""
    names = columns_called(wanted or FILE_NAMES, row.fields)
    others = [] if wanted else [n for n, v in row.fields.items() if is_image(str(v))]
    for name in [*names, *others]:
        value = row.fields[name]
        text = str(value).strip() if isinstance(value, (str, int)) else ""
        if text and pictures.find(text).path:
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
