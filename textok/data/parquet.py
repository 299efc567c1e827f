"""Parquet files with images in a column, as Hugging Face writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from textok.config.check import require
from textok.config.data import SourceConfig
from textok.data.arrow_rows import Split, read_splits, row_splits
from textok.data.column_names import SPLIT, column_called
from textok.data.columns import Columns, find_columns
from textok.data.folder import FolderFiles, suffix_of
from textok.data.hub_set import (
    HUB,
    choose_splits,
    hub_source,
    is_installed,
    need_datasets,
    table_columns,
)
from textok.data.parquet_files import group_by_split, look
from textok.data.parquet_table import ParquetTable, count_rows, read_features, read_kinds, reading
from textok.data.records import Entry
from textok.data.report import ReadReport
from textok.data.source import Source
from textok.runtime.untrusted import regular_file


def packed_source(path: str, columns: SourceConfig) -> Source | None:
    """What reads ``path``, if it is a hub name, parquet files or a folder of them.

    A folder with other images or tar shards, or without a column of images, gives None.

    Raises:
        ValueError: the `datasets` library is not installed, a name or a file cannot be read, or
            a folder has images in parquet files and others beside them.
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
        raise ValueError(f"data.path {path}: {no_images(found[0])}")
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
    except ValueError:  # the images are the set
        return None
    if source is None or _names_files(first, config):
        return source
    shown = _shown(path)
    other = next((picture for picture in found.pictures if picture.name not in shown), None)
    require(
        other is None,
        f"{path} has images in {first.relative_to(path)} and beside it, as "
        f"{other and other.relative_to(path)}; keep one of them, or give a folder or a file in it",
    )
    return source


def no_images(file: Path) -> str:
    """What to say of a parquet file in which no column is known to hold images."""
    columns = ", ".join(f"{name} ({kind})" for name, kind in read_kinds(file).items())
    return (
        f"no column of images; there are {columns}; data.image_column names one of bytes, of "
        "structs of bytes and path, or of names of files; lists and base64 are not read"
    )


def check_tables(files: FolderFiles) -> None:
    """Raise ValueError for a folder with parquet files in place of images, naming their columns.

    Tables of addresses are left alone, and so are files that are no parquet.
    """
    tables = [files.root / name for name in files.others if suffix_of(name) == ".parquet"]
    if files.images or not tables or not is_installed():
        return
    try:
        addresses = column_called(["url"], read_kinds(tables[0]))
    except ValueError:
        return
    require(addresses is not None, f"{tables[0]}: {no_images(tables[0])}")


def _source(
    root: Path, splits: Mapping[str, Sequence[Path]], config: SourceConfig
) -> Source | None:
    need_datasets(str(next(iter(splits.values()))[0]))
    splits = _with_rows(splits)
    first = next(iter(splits.values()))[0]
    columns = _columns(first, config)
    if columns is None:
        return None
    if columns.holds == "files" and not config.image_column:
        path = _first_path(first, columns)
        table = ParquetTable(root=root, files=(first,), allow_outside=config.allow_outside)
        if not path or table.locate(0, path) is None:
            return None
    by_row = _row_splits(*splits.values()) if len(splits) == 1 else ()
    return Source(
        read=partial(_read, root, splits, by_row, config),
        splits=by_row or tuple(name for name in splits if name),
    )


def _with_rows(splits: Mapping[str, Sequence[Path]]) -> Mapping[str, Sequence[Path]]:
    """The splits without their files that have no rows. Raises ValueError where none has any."""
    kept = {name: [file for file in files if count_rows(file)] for name, files in splits.items()}
    first = next(iter(splits.values()))[0]
    require(any(kept.values()), f"{first} has no rows, so no image that can be read")
    return {name: files for name, files in kept.items() if files}


def _read(
    root: Path,
    splits: Mapping[str, Sequence[Path]],
    by_row: Sequence[str],
    config: SourceConfig,
    split: str,
    report: ReadReport,
) -> Iterator[Entry]:
    found = []
    chosen = choose_splits(str(root), by_row or list(splits), split)
    for name in splits if by_row else chosen:
        files = ParquetTable(
            root=root, files=tuple(splits[name]), allow_outside=config.allow_outside
        )
        table = files.load()
        columns = table_columns(str(files.files[0]), table, config, files=True)
        found.append(
            Split(
                name=name,
                table=table,
                columns=columns,
                file=files.files[0],
                locate=files.locate,
                by_row=bool(by_row),
            )
        )
    yield from read_splits(found, report, only=chosen[0] if by_row and split else "")


def _columns(file: Path, config: SourceConfig) -> Columns | None:
    features = read_features(file)
    try:
        return find_columns(
            features,
            image_column=config.image_column,
            named_captions=config.caption_columns,
        )
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _row_splits(files: Sequence[Path]) -> tuple[str, ...]:
    """The splits that a column of the files tells apart."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    values: set[object] = set()
    for file in files:
        with reading(file):
            name = column_called([SPLIT], pq.read_schema(file).names)
            if name is None:
                return ()
            column = pq.read_table(file, columns=[name]).column(name)
            if not pa.types.is_string(column.type):
                return ()
            values.update(column.unique().to_pylist())
    return row_splits(values)


def _names_files(file: Path, config: SourceConfig) -> bool:
    """Whether the column of images holds names of files in place of bytes."""
    columns = _columns(file, config)
    return columns is not None and bool(_first_path(file, columns))


def _first_path(file: Path, columns: Columns) -> str:
    """The file that the first row names; empty where it holds the image itself."""
    import pyarrow.parquet as pq

    with reading(file):
        batches = pq.ParquetFile(file).iter_batches(batch_size=1, columns=[columns.image])
        value = next((batch.column(0)[0].as_py() for batch in batches if len(batch)), None)
    if isinstance(value, dict):
        return "" if value.get("bytes") else str(value.get("path") or "")
    return value if isinstance(value, str) else ""


def _shown(root: Path) -> str:
    """What the card of the set says: the images in it are no part of the set."""
    try:
        return regular_file(root / "README.md").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
