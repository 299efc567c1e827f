"""Which convention a path follows; every choice is explicit, a mixture is refused."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from textok.config.data import DataConfig
from textok.data.folder_source import FolderSource
from textok.data.layouts import find_layout
from textok.data.parquet import packed_source
from textok.data.records import Entry
from textok.data.report import ReadReport
from textok.data.shards import find_shards, read_shards, shards_by_split, shards_in
from textok.data.source import Source
from textok.data.splits import SplitFolders, find_splits, split_name
from textok.data.table_place import open_table


def find_entries(config: DataConfig, report: ReadReport) -> Iterable[Entry]:
    """The records of ``config.split``, by the first rule of :func:`find_source` that fits."""
    return find_source(config).read(config.split, report)


def own_splits(config: DataConfig) -> tuple[str, ...]:
    """The values of ``data.split`` that ``config.path`` has by itself; none for a set without."""
    return find_source(config).splits


def find_source(config: DataConfig) -> Source:
    """What ``config.path`` is, by the first rule that fits.

    0. ``hf://``, parquet files, or a folder of them with images: their columns.
    1. A pattern (``{000..009}``, ``*``) or a ``.tar`` file: tar shards.
    2. A folder with ``config.table``: that table, its images in ``config.images``.
    3. A folder in one of the ``LAYOUTS`` of well-known sets.
    4. A folder with folders of splits, or without: tar files, a table, or images.

    Raises:
        ValueError: nothing of that kind is at the path.
    """
    if not config.path:
        raise ValueError("data.path is empty: give a folder of images or tar shards")
    packed = None if config.table else packed_source(config.path, config)
    if packed is not None:
        return packed
    if "://" in config.path:
        raise ValueError(f"data.path {config.path}: copy the data to a local folder first")
    path = Path(config.path).expanduser()
    if not path.is_dir() and (path.suffix.lower() == ".tar" or _is_pattern(config.path)):
        return _of_shards(find_shards(str(path)), config)
    if not path.is_dir():
        raise ValueError(f"data.path {path} {_what_is(path)}")
    folders = find_splits(path)
    if config.table:
        return Source(read=partial(_read_named, config, folders), splits=tuple(folders.folders))
    known = find_layout(path, config)
    if known is not None:
        return known
    shards = shards_in(path)
    if shards and not folders.folders:
        FolderSource(config=config, root=path).check_one_convention()
        return _of_shards(shards, config)
    if folders.folders:
        return Source(read=partial(_read_split, config, folders), splits=tuple(folders.folders))
    return FolderSource(config=config, root=path).source()


def _of_shards(shards: list[Path], config: DataConfig) -> Source:
    """Shards called ``train-000.tar`` and ``val-000.tar`` are splits; others are not told apart."""
    by_split = shards_by_split(shards)

    def read(split: str, report: ReadReport) -> Iterator[Entry]:
        wanted = by_split.get(split_name(split)) if split and by_split else shards
        if wanted is None:
            raise ValueError(
                f"data.path {config.path} has no shards of '{split}'; data.split can be "
                f"{', '.join(by_split)}"
            )
        return read_shards(wanted, config, report)

    return Source(read=read, splits=tuple(by_split))


def _read_named(
    config: DataConfig, folders: SplitFolders, split: str, report: ReadReport
) -> Iterator[Entry]:
    table, pictures = open_table(config, folders.root, folders.folder(split))
    return table.read(pictures, report)


def _read_split(
    config: DataConfig, folders: SplitFolders, split: str, report: ReadReport
) -> Iterator[Entry]:
    root = folders.folder(split)
    whole = None if root == folders.root else folders
    return FolderSource(config=config, root=root, whole=whole).read(split, report)


def _is_pattern(path: str) -> bool:
    return "{" in path or glob.has_magic(path)


def _what_is(path: Path) -> str:
    """Why a path that is no folder cannot be read, and what to do."""
    suffix = path.suffix.lower()
    if path.name.lower().endswith((".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")):
        return "is compressed: unpack to .tar first; shards are read at random"
    if not path.exists():
        return "does not exist"
    if suffix in (".zip", ".7z", ".rar", ".gz"):
        return "is an archive, not a folder or .tar: unpack it, and give the folder"
    if suffix in (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt"):
        return f"is a file, not a folder or .tar: give its folder, and data.table {path.name}"
    return "is a file, not a folder or .tar: give the folder that it is in"
