"""A well-known set that was found in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from textok.data.records import Entry, ReadReport


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the folder is read."""

    read: Callable[[str, ReadReport], Iterator[Entry]]
    """The records of a split, or of everything for an empty one."""
    splits: tuple[str, ...] = ()
    """Those that it has by itself."""
