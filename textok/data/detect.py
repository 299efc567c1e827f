"""Which convention a path follows; every choice is explicit, a mixture is refused."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from textok.config.data import DataConfig
from textok.data.folder import TABLES, find_files, is_image, read_sidecars
from textok.data.layouts import find_layout
from textok.data.pictures import PictureFiles
from textok.data.records import Entry, ReadReport
from textok.data.shards import find_shards, read_shards
from textok.data.table import FILE_NAME, Table
from textok.data.table_place import open_table

SPLITS = ("train", "val", "validation", "test")


def find_entries(config: DataConfig, report: ReadReport) -> Iterable[Entry]:
    """The records of ``config.path`` by the first rule that fits.

    1. A pattern (``{000..009}``, ``*``) or a ``.tar`` file: tar shards.
    2. A folder with ``config.table``: that table, its pictures in ``config.images``.
    3. A folder in one of the ``LAYOUTS`` of well-known sets.
    4. A folder, or its sub-folder ``config.split`` where there is one, with
       a. tar files: shards, b. one of ``TABLES``: that table, c. images: sidecar texts.

    Raises:
        ValueError: nothing at the path, no images, or more than one of a, b, c.
    """
    if not config.path:
        raise ValueError("data.path is empty: give a folder of images or tar shards")
    if "://" in config.path:
        raise ValueError(f"data.path {config.path}: copy the data to a local folder first")
    path = Path(config.path).expanduser()
    if path.name.endswith((".tar.gz", ".tgz")):
        raise ValueError(f"data.path {path}: unpack to .tar first; shards are read at random")
    if not path.is_dir() and (path.suffix == ".tar" or _is_pattern(config.path)):
        return read_shards(find_shards(str(path)), report)
    if not path.is_dir():
        what = "is a file, not a folder or .tar" if path.exists() else "does not exist"
        raise ValueError(f"data.path {path} {what}")
    if config.table:
        table, pictures = open_table(config, path, _split_folder(path, config.split))
        return table.read(pictures, report)
    layout = find_layout(path)
    if layout is not None:
        return layout.read(config.split, report)
    return _folder_entries(_split_folder(path, config.split), config, report)


def own_splits(config: DataConfig) -> tuple[str, ...]:
    """The values of ``data.split`` that ``config.path`` has by itself; none for a set without."""
    path = Path(config.path).expanduser()
    if not path.is_dir():
        return ()
    folders = tuple(name for name in SPLITS if (path / name).is_dir())
    layout = None if folders or config.table else find_layout(path)
    return folders if layout is None else layout.splits


def _split_folder(path: Path, split: str) -> Path:
    if not split or (path / split).is_dir():
        return path / split
    others = [name for name in SPLITS if (path / name).is_dir()]
    if others:
        raise ValueError(
            f"{path} has no sub-folder '{split}'; data.split can be {', '.join(others)}"
        )
    return path


def _folder_entries(root: Path, config: DataConfig, report: ReadReport) -> Iterable[Entry]:
    shards = sorted(root.glob("*.tar"))
    tables = [root / name for name in TABLES if (root / name).is_file()]
    if len(tables) + bool(shards) > 1:
        names = [file.name for file in (*shards[:1], *tables)]
        raise ValueError(f"{root} has {' and '.join(names)}; keep one of them")
    if shards:
        return read_shards(shards, report)
    found = find_files(root)
    images = [name for name in found if is_image(name)]
    if tables:
        table = Table(
            path=tables[0],
            image_column=config.image_column or FILE_NAME,
            caption_columns=config.caption_columns,
            delimiter=config.delimiter,
        )
        return table.read(PictureFiles(root=root, names=images), report)
    deeper = [name for name in found if not is_image(name)]
    if deeper:
        raise ValueError(f"{root} has its {deeper[0]} in a sub-folder; give that as data.path")
    if not images:
        packed = any(root.glob("*.parquet")) or any(root.glob("*.tfrecord"))
        hint = "; have img2dataset write with --output_format webdataset" if packed else ""
        raise ValueError(
            f"{root} has no images, no .tar shards and none of {', '.join(TABLES)}{hint}"
        )
    return read_sidecars(root, images)


def _is_pattern(path: str) -> bool:
    return "{" in path or glob.has_magic(path)
