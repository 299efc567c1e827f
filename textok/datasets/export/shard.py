"""What is written at once, and the note on it that lets a later run go on behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from textok.datasets.export.pictures import Picture, Pictures
from textok.datasets.place import BUILD
from textok.runtime.files import write_text
from textok.runtime.notes import read_note

Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A finished shard."""

    images: int
    bytes: int
    bad: dict[str, str] = field(default_factory=dict)
    """Key and reason of each image that is left out."""
    files: tuple[str, ...] = ()
    """Name of each image's file, where they lie in files of their own."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Some images of a split, in their order."""

    split: str
    number: int
    total: int
    """Shards of the split."""
    pictures: Sequence[Picture]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}-of-{self.total:05d}"


class Format(Protocol):
    """A way to store images with what is known of them, in the folder ``out``."""

    @property
    def out(self) -> Path: ...

    def folders(self, splits: Sequence[str]) -> list[str]:
        """Those that files go to."""

    def write(self, shard: Shard, advance: Advance) -> Written:
        """Write a shard whole or not at all."""

    def is_there(self, shard: Shard, written: Written) -> bool:
        """Whether what an earlier run wrote is still there."""

    def finish(self, pictures: Pictures, written: Mapping[str, Sequence[Written]]) -> None:
        """Write what comes last, of the images and finished shards of each split."""


def cut(split: str, pictures: Sequence[Picture], size: int) -> Iterator[Shard]:
    """The shards of a split, of ``size`` images but for the last."""
    starts = range(0, len(pictures), size)
    for number, start in enumerate(starts):
        some = pictures[start : start + size]
        yield Shard(split=split, number=number, total=len(starts), pictures=some)


def earlier(way: Format, shard: Shard) -> Written | None:
    """What an earlier run wrote of a shard, if it finished it."""
    written = read_note(_note(way.out, shard), Written)
    return written if written is not None and way.is_there(shard, written) else None


def write(way: Format, shard: Shard, advance: Advance) -> Written:
    """Write a shard, and then its note: a shard without one is not finished."""
    written = way.write(shard, advance)
    write_text(_note(way.out, shard), json.dumps(asdict(written)))
    return written


def has_size(path: Path, written: Written) -> bool:
    """Whether a shard of one file is there, and whole."""
    return path.is_file() and path.stat().st_size == written.bytes


def _note(out: Path, shard: Shard) -> Path:
    return out / BUILD / f"{shard.name}.json"
