"""Parquet files with images in a column, as Hugging Face writes them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from textok.config.check import require
from textok.config.data import SourceConfig
from textok.data.arrow_rows import Split, read_splits
from textok.data.columns import Columns, find_columns
from textok.data.hub_set import (
    HUB,
    choose_splits,
    hub_source,
    is_installed,
    need_datasets,
    one_line,
    table_columns,
)
from textok.data.parquet_files import group_by_split, look
from textok.data.records import Entry
from textok.data.report import ReadReport
from textok.data.source import Source

POINTER = b"version https://git-lfs"
"""Begins what git has in place of a large file that was not fetched."""


def packed_source(path: str, columns: SourceConfig) -> Source | None:
    """What reads ``path``, if it is a hub name, parquet files or a folder of them.

    A folder with other pictures or tar shards, or without a column of images, gives None.

    Raises:
        ValueError: the `datasets` library is not installed, a name or a file cannot be read, or
            a folder has pictures in parquet files and others beside them.
    """
    if path.startswith(HUB):
        return hub_source(path, columns=columns)
    place = Path(path).expanduser()
    if place.is_dir():
        return parquet_source(place, columns=columns)
    if place.suffix.lower() != ".parquet":
        return None
    found = [place] if place.is_file() else sorted(place.parent.glob(place.name))
    require(bool(found), f"data.path {path} does not exist")
    source = _source(place.parent, {"": found}, columns)
    if source is None:
        names = ", ".join(_features(found[0]))
        raise ValueError(f"data.path {path}: no column of images; there are {names}")
    return source


def parquet_source(path: Path, *, columns: SourceConfig | None = None) -> Source | None:
    """What reads a folder of parquet files, such as a clone of a hub repository, or one file.

    None where no parquet file is there, or none has a column of images: img2dataset writes such
    tables beside its images.

    Raises:
        ValueError: as :func:`packed_source`.
    """
    config = columns or SourceConfig()
    if path.is_file():
        return _source(path.parent, {"": [path]}, config)
    found = look(path)
    if not found.parquet or found.shards or (found.pictures and not is_installed()):
        return None
    splits = group_by_split(path, found.parquet)
    if not found.pictures:
        return _source(path, splits, config)
    first = next(iter(splits.values()))[0]
    try:
        source = _source(path, splits, config)
    except ValueError:  # the pictures are the set
        return None
    if source is None or _names_files(first, config):
        return source
    shown = _shown(path)
    other = next((picture for picture in found.pictures if picture.name not in shown), None)
    require(
        other is None,
        f"{path} has pictures in {first.relative_to(path)} and beside it, as "
        f"{other and other.relative_to(path)}; keep one of them, or give a folder or a file in it",
    )
    return source


def _source(
    root: Path, splits: Mapping[str, Sequence[Path]], config: SourceConfig
) -> Source | None:
    first = next(iter(splits.values()))[0]
    need_datasets(str(first))
    columns = _columns(first, config)
    if columns is None:
        return None
    if columns.holds == "files" and not config.image_column:
        path = _first_path(first, columns)
        if not path or Files(root=root, files=(first,)).locate(0, path) is None:
            return None
    return Source(
        read=partial(_read, root, splits, config), splits=tuple(name for name in splits if name)
    )


def _read(
    root: Path,
    splits: Mapping[str, Sequence[Path]],
    config: SourceConfig,
    split: str,
    report: ReadReport,
) -> Iterator[Entry]:
    found = []
    for name in choose_splits(str(root), list(splits), split):
        files = Files(root=root, files=tuple(splits[name]))
        table = _load(files.stamps)
        columns = table_columns(str(files.files[0]), table, config, files=True)
        found.append(
            Split(name=name, table=table, columns=columns, file=files.files[0], locate=files.locate)
        )
    yield from read_splits(found, report)


@dataclass(frozen=True, kw_only=True)
class Files:
    """Parquet files that are one table."""

    root: Path
    """The folder of the set."""
    files: tuple[Path, ...]

    @property
    def stamps(self) -> tuple[tuple[str, str], ...]:
        """Each file and what changes with it."""
        states = [(file, file.stat()) for file in self.files]
        return tuple((str(f.absolute()), f"{s.st_mtime_ns} {s.st_size}") for f, s in states)

    def locate(self, row: int, path: str) -> Path | None:
        """The file that a row names: relative to its parquet file, or to the set."""
        own = self.files[bisect_right(self._ends, row)] if self._ends[-1] > row else self.files[0]
        names = dict.fromkeys((path, path.replace("\\", "/")))
        places = (folder / name for name in names for folder in (own.parent, self.root))
        return next((place for place in places if place.is_file()), None)

    @cached_property
    def _ends(self) -> list[int]:
        """The row after the last one of each file."""
        import pyarrow.parquet as pq

        return list(accumulate(pq.read_metadata(file).num_rows for file in self.files))


@lru_cache(maxsize=32)
def _load(stamps: tuple[tuple[str, str], ...]) -> Any:
    """The files as one table, memory-mapped from the cache of `datasets`."""
    import datasets
    from datasets.data_files import DataFilesList

    paths = [path for path, _ in stamps]
    # Not as patterns: brackets in a name are part of it.
    files = DataFilesList(paths, [(stamp,) for _, stamp in stamps])
    try:
        return datasets.load_dataset("parquet", data_files={"train": files}, split="train")
    except Exception as error:
        raise ValueError(f"{paths[0]}: {one_line(error)}") from error


def _columns(file: Path, config: SourceConfig) -> Columns | None:
    features = _features(file)
    try:
        return find_columns(
            features,
            image_column=config.image_column,
            named_captions=config.caption_columns,
        )
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _features(file: Path) -> Mapping[str, Any]:
    """The columns of a parquet file, typed as `datasets` does."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    with file.open("rb") as stream:
        pointer = stream.read(len(POINTER)) == POINTER
    require(not pointer, f"{file} is a pointer of Git LFS, not the file; run `git lfs pull`")
    try:
        return datasets.Features.from_arrow_schema(pq.read_schema(file))
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} cannot be read as parquet: {one_line(error)}") from None


def _names_files(file: Path, config: SourceConfig) -> bool:
    """Whether the column of images holds names of files in place of bytes."""
    columns = _columns(file, config)
    return columns is not None and bool(_first_path(file, columns))


def _first_path(file: Path, columns: Columns) -> str:
    """The file that the first row names; empty where it holds the image itself."""
    import pyarrow.parquet as pq

    batches = pq.ParquetFile(file).iter_batches(batch_size=1, columns=[columns.image])
    for batch in batches:
        for value in batch.column(0).to_pylist():
            if isinstance(value, dict):
                return "" if value.get("bytes") else str(value.get("path") or "")
            return value if isinstance(value, str) else ""
    return ""


def _shown(root: Path) -> str:
    """What the card of the set says: the pictures in it are no part of the set."""
    try:
        return (root / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
