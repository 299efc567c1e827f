"""Data sets by their name on the Hugging Face hub: ``hf://owner/name``."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from textok.config.check import require
from textok.config.data import SourceConfig
from textok.data.arrow_rows import Split, read_splits, row_splits
from textok.data.column_names import SPLIT, column_called
from textok.data.columns import Columns, find_columns
from textok.data.parquet_files import canonical_split
from textok.data.records import Entry
from textok.data.report import ReadReport
from textok.data.source import Source
from textok.data.splits import in_order

HUB = "hf://"
NAME = re.compile(
    r"(?:datasets/)?(?P<repository>[^/@]+(?:/[^/@]+)?)(?:/(?P<config>[^/@]+))?"
    r"(?:@(?P<revision>refs/[^/]+/[^/]+|[^/]+)(?:/(?P<inner>[^/@]+))?)?/?"
)


@dataclass(frozen=True, kw_only=True)
class HubName:
    """A data set on the hub."""

    repository: str
    """``owner/name``, or the name alone of some old ones."""
    config: str | None = None
    revision: str | None = None
    """Branch, tag or commit."""

    @staticmethod
    def read(text: str) -> HubName:
        """From ``hf://owner/name``, with ``/CONFIG`` and ``@REVISION`` where wanted.

        Raises:
            ValueError: it is none of these.
        """
        found = NAME.fullmatch(text.removeprefix(HUB))
        if found is None or (found["config"] and found["inner"]):
            raise ValueError(f"data.path {text}: write hf://OWNER/NAME, /CONFIG or @REVISION after")
        return HubName(
            repository=found["repository"],
            config=found["config"] or found["inner"],
            revision=found["revision"],
        )


def hub_source(name: str, *, columns: SourceConfig | None = None) -> Source:
    """What reads the data set ``hf://owner/name``, fetched into the hub's cache if it is not there.

    No code of the repository is run.

    Raises:
        ValueError: the `datasets` library is not installed, the hub does not give the set, it has
            several configurations, or no column of images.
    """
    need_datasets(f"data.path {name}")
    config = columns or SourceConfig()
    tables: dict[str, Any] = {}
    for own, table in load_set(HubName.read(name)).items():
        split = canonical_split(own)
        tables[own if split in tables else split] = table
    splits = {split: tables[split] for split in in_order(tables)}
    first = next(iter(splits.values()))
    table_columns(f"data.path {name}", first, config)
    column = column_called([SPLIT], first.column_names) if len(splits) == 1 else None
    by_row = row_splits(first.unique(column)) if column else ()
    return Source(read=partial(_read, name, splits, by_row, config), splits=by_row or tuple(splits))


def _read(
    name: str,
    tables: Mapping[str, Any],
    by_row: Sequence[str],
    config: SourceConfig,
    split: str,
    report: ReadReport,
) -> Iterator[Entry]:
    chosen = choose_splits(f"data.path {name}", by_row or list(tables), split)
    splits = [
        Split(
            name=own,
            table=tables[own],
            columns=table_columns(f"data.path {name}", tables[own], config),
            file=_file(own, tables[own]),
            locate=_fetched,
            by_row=bool(by_row),
        )
        for own in (tables if by_row else chosen)
    ]
    only = chosen[0] if by_row and split else ""
    yield from read_splits(splits, report, only=only)


def choose_splits(what: str, names: Sequence[str], wanted: str) -> list[str]:
    """The splits that ``data.split`` asks for: one, or all for an empty one.

    Raises:
        ValueError: there are splits, but not this one.
    """
    if not wanted or not any(names):
        return list(names)
    for name in (wanted, canonical_split(wanted)):
        if name in names:
            return [name]
    there = ", ".join(filter(None, names))
    raise ValueError(f"{what} has no split '{wanted}'; data.split can be {there}")


def table_columns(what: str, table: Any, config: SourceConfig, *, files: bool = False) -> Columns:
    """The columns of a `datasets.Dataset`, with ``files`` also where they name image files.

    Raises:
        ValueError: no column holds images.
    """
    try:
        columns = find_columns(
            table.features,
            image_column=config.image_column,
            named_captions=config.caption_columns,
        )
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    names = ", ".join(table.features)
    if columns is None or (columns.holds == "files" and not (files or config.image_column)):
        raise ValueError(f"{what}: no column of images; there are {names}")
    return columns


def is_installed() -> bool:
    """Whether the `datasets` library can be imported."""
    spec = importlib.util.find_spec("datasets")
    return spec is not None and spec.origin is not None  # a folder called datasets has none


def need_datasets(what: str) -> None:
    """Raise ValueError with the command that installs the `datasets` library, if it is missing."""
    require(
        is_installed(),
        f"{what} is read with the `datasets` library: pip install 'textok[hf]'",
    )


def one_line(error: BaseException) -> str:
    """What went wrong; of an error of `datasets` that hides another, that one."""
    while type(error).__name__ == "DatasetGenerationError" and error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


@lru_cache(maxsize=8)
def load_set(name: HubName) -> dict[str, Any]:
    """The tables of a set by split, memory-mapped from the cache of `datasets`."""
    import datasets

    shown = f"data.path {HUB}{name.repository}"
    # A folder of that name in the working directory would go before the hub.
    there = Path(name.repository).exists()
    path = f"{HUB}datasets/{name.repository}" if there else name.repository
    try:
        found = datasets.load_dataset(path, name.config, revision=name.revision)
    except Exception as error:
        raise ValueError(f"{shown}: {_problem(name, error)}") from error
    return dict(found)


def _problem(name: HubName, error: Exception) -> str:
    """What to say of an error of `datasets`, and what to do about it."""
    text = one_line(error)
    listed = re.search(r"(?:[Aa]vailable|in the cache)[^:]*: (\[[^]]*\]|[\w., -]+)", text)
    if listed and ("onfig" in text):
        names = re.sub(r"[\[\]']", "", listed[1].partition(" Please")[0]).strip()
        what = f"no configuration '{name.config}'" if name.config else "several configurations"
        first = names.partition(",")[0]
        return f"{what}, there are {names}: write {HUB}{name.repository}/{first}"
    if "gated" in text:
        return f"{text.rstrip('.')}; log in with `hf auth login`"
    if isinstance(error, ConnectionError) or "offline" in text.casefold():
        return f"{text.rstrip('.')}; without the network only sets fetched before can be read"
    return text


def _file(split: str, table: Any) -> Path:
    """The first file of the table in the cache; it tells splits apart."""
    files = table.cache_files
    return Path(files[0]["filename"]) if files else Path(split)


def _fetched(row: int, path: str) -> Path | None:
    """Where the hub's files of an image folder lie; other files of the machine are not read."""
    import datasets
    from huggingface_hub import constants

    file = Path(path).resolve()
    caches = (datasets.config.HF_DATASETS_CACHE, constants.HF_HUB_CACHE)
    known = any(file.is_relative_to(Path(cache).resolve()) for cache in caches)
    return file if known and file.is_file() else None
