"""What was found at a path: how its records are read, and the splits that it has by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from textok.data.records import Entry
from textok.data.report import ReadReport


@dataclass(frozen=True, kw_only=True)
class Source:
    """Captioned images in one convention."""

    read: Callable[[str, ReadReport], Iterator[Entry]]
    """The records of a split, or of everything for an empty one."""
    splits: tuple[str, ...] = ()
    """Values of ``data.split`` that differ; none where every split is the whole."""
