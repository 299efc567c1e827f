"""From any readable set to an exported one: list, check the place, write shard by shard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textok.config.datasets import ExportConfig, ExportFormat
from textok.data.report import ReadReport
from textok.datasets.export.folder import ImageFolder
from textok.datasets.export.hub import HubParquet
from textok.datasets.export.pictures import Pictures, digest, read_set
from textok.datasets.export.shard import Format, Written, cut, earlier, write
from textok.datasets.export.webdataset import WebDataset
from textok.datasets.place import Place
from textok.runtime.counter import counter

VERSION = 1
"""Raised when the same set gives other files."""


@dataclass(frozen=True, kw_only=True)
class ExportedSplit:
    """What was written of a split."""

    name: str
    images: int
    shards: int
    bytes: int
    bad: dict[str, str]
    """Key and reason of each image that could not be read."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written of a set."""

    splits: list[ExportedSplit]


def export_data(config: ExportConfig, *, progress: bool = True) -> Exported:
    """Write the set ``config.data`` to ``config.out``, in the format ``config.to``.

    Encoded images keep their bytes; they are not decoded. Captions, classes, keys and other
    metadata go with them. The files depend on the set and the settings alone, and the same call
    continues a run that was interrupted, shard by shard.

    Raises:
        ValueError: the set cannot be read, or ``out`` holds something else or lies in the set.
        BadFilesError: more than ``data.max_bad_share`` of the images cannot be read.
    """
    place = Place(out=config.out, note="export", kind="an exported set")
    place.check_apart(config.data)
    place.check_own()
    pictures = read_set(config.data, config.splits, dots=config.to != "webdataset")
    way = WAYS[config.to](config.out, pictures)
    recipe = {
        "version": VERSION,
        "format": config.to,
        "source": digest(pictures),
        "shard_images": config.shard_images,
    }
    place.begin(recipe, folders=way.folders(list(pictures)))
    total = sum(map(len, pictures.values()))
    report = ReadReport(images=total)
    written: dict[str, list[Written]] = {split: [] for split in pictures}
    shards = [s for name, some in pictures.items() for s in cut(name, some, config.shard_images)]
    with counter("images", total=total, shown=progress) as advance:
        for shard in shards:
            done = earlier(way, shard)
            if done is None:
                done = write(way, shard, advance)
            else:
                advance(len(shard.pictures))
            written[shard.split].append(done)
            report.bad |= {f"{shard.split}/{key}": why for key, why in done.bad.items()}
            report.check_share(config.data.max_bad_share)
    way.finish(pictures, written)
    return Exported(splits=[_summarise(name, done) for name, done in written.items()])


def _summarise(name: str, shards: list[Written]) -> ExportedSplit:
    return ExportedSplit(
        name=name,
        images=sum(shard.images for shard in shards),
        shards=len(shards),
        bytes=sum(shard.bytes for shard in shards),
        bad={key: reason for shard in shards for key, reason in shard.bad.items()},
    )


WAYS: dict[ExportFormat, Callable[[Path, Pictures], Format]] = {
    "hf": HubParquet.of,
    "webdataset": lambda out, _: WebDataset(out=out),
    "folder": lambda out, _: ImageFolder(out=out),
}
