"""Parquet files that are one table, read at random access."""

from __future__ import annotations

import os
import textwrap
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from textok.config.check import require
from textok.data.hub_set import one_line

POINTER = b"version https://git-lfs"
"""Begins what git has in place of a large file that was not fetched."""


def read_features(file: Path) -> Mapping[str, Any]:
    """The columns of a parquet file, typed as `datasets` does."""
    import datasets
    import pyarrow.parquet as pq

    _check_fetched(file)
    with reading(file):
        return datasets.Features.from_arrow_schema(pq.read_schema(file))


def read_kinds(file: Path) -> Mapping[str, str]:
    """The columns of a parquet file and what is in them, shortly."""
    import pyarrow.parquet as pq

    with reading(file):
        schema = pq.read_schema(file)
    return {field.name: textwrap.shorten(str(field.type), 60) for field in schema}


def count_rows(file: Path) -> int:
    """The rows of a parquet file, by what its end says. Raises ValueError for a damaged one."""
    import pyarrow.parquet as pq

    _check_fetched(file)
    with reading(file):
        return int(pq.read_metadata(file).num_rows)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Raise ValueError with the name of the file for whatever goes wrong inside."""
    try:
        yield
    except Exception as error:  # of Arrow, of JSON in the file's metadata, ...
        raise ValueError(f"{file} cannot be read as parquet: {one_line(error)}") from error


def _check_fetched(file: Path) -> None:
    with file.open("rb") as stream:
        pointer = stream.read(len(POINTER)) == POINTER
    require(not pointer, f"{file} is a pointer of Git LFS, not the file; run `git lfs pull`")


@dataclass(frozen=True, kw_only=True)
class ParquetTable:
    """Parquet files that are one table."""

    root: Path
    """The folder of the set."""
    files: tuple[Path, ...]
    allow_outside: bool = False
    """Whether rows may name files outside the set."""

    def load(self) -> Any:
        """A `datasets.Dataset` of all rows, memory-mapped from the library's cache."""
        for file in self.files:
            _check_fetched(file)
        states = [(file, file.stat()) for file in self.files]
        return _load(tuple((str(f.absolute()), f"{s.st_mtime_ns} {s.st_size}") for f, s in states))

    def locate(self, row: int, path: str) -> Path | None:
        """The file that a row names: relative to its parquet file, or to the set."""
        own = self.files[bisect_right(self._ends, row)] if self._ends[-1] > row else self.files[0]
        names = dict.fromkeys((path, path.replace("\\", "/")))
        for place in (folder / name for name in names for folder in (own.parent, self.root)):
            if not os.path.isfile(place):  # noqa: PTH113 (False for a name that no file can have)
                continue
            if self.allow_outside or place.resolve().is_relative_to(self.root.resolve()):
                return place
        return None

    @cached_property
    def _ends(self) -> list[int]:
        """The row after the last one of each file."""
        return list(accumulate(map(count_rows, self.files)))


@lru_cache(maxsize=32)
def _load(stamps: tuple[tuple[str, str], ...]) -> Any:
    """Files and what changes with each, as one table."""
    import datasets
    from datasets.data_files import DataFilesList

    paths = [path for path, _ in stamps]
    # Not as patterns: brackets in a name are part of it.
    files = DataFilesList(paths, [(stamp,) for _, stamp in stamps])
    try:
        return datasets.load_dataset("parquet", data_files={"train": files}, split="train")
    except Exception as error:
        at_fault = _at_fault(list(map(Path, paths)))
        raise ValueError(f"{at_fault} cannot be read as parquet: {one_line(error)}") from error


def _at_fault(files: Sequence[Path]) -> Path:
    """The first file that cannot be read, or has other columns than the first."""
    import pyarrow.parquet as pq

    for file in files:
        try:
            table = pq.ParquetFile(file)
            for _ in table.iter_batches():
                pass
        except Exception:  # as in ``reading``
            return file
        if table.schema_arrow.names != pq.read_schema(files[0]).names:
            return file
    return files[0]
