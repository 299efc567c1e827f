"""Some of a set's pictures, evenly spaced, as tar shards: the bytes of the files as they are."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

from textok.config import DataConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.records import Record
from textok.evaluate.reconstruction import evenly
from textok.runtime.files import atomic_write

SHARD_BYTES = 20 << 20
COMPLETE = "complete"


def subset(data: Path, split: str, count: int) -> CaptionedImages:
    """``count`` pictures, evenly spaced over the split. Raises ValueError for unreadable data."""
    images = open_captioned_images(DataConfig(path=str(data), split=split), image_size=64)
    return evenly(images, count)


def write_splits(data: Path, out: Path, counts: Mapping[str, int]) -> Path:
    """Write ``counts`` pictures of each split to ``out``, unless they are there; returns ``out``.

    Raises ValueError for unreadable data.
    """
    for split, count in counts.items():
        if not (out / split / COMPLETE).exists():
            write_subset(subset(data, split, count), out / split)
    return out


def write_subset(images: CaptionedImages, folder: Path) -> list[Path]:
    """Write shards of at most SHARD_BYTES, pictures and JSON, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, records in enumerate(_parts(images)):
        path = folder / f"{folder.name}-{number:02d}.tar"
        with atomic_write(path) as temporary, tarfile.open(temporary, "w") as shard:
            for place, record in records:
                _add(shard, f"{place:06d}", record)
        written.append(path)
    (folder / COMPLETE).touch()
    return written


def _parts(images: CaptionedImages) -> Iterator[list[tuple[int, Record]]]:
    """The records of each shard, with their places among all."""
    part: list[tuple[int, Record]] = []
    size = 0
    for place, record in enumerate(images.records):
        own = 2048 + (record.span[1] if record.span else record.file.stat().st_size)
        if part and size + own > SHARD_BYTES:
            yield part
            part, size = [], 0
        part.append((place, record))
        size += own
    yield part


def _add(shard: tarfile.TarFile, name: str, record: Record) -> None:
    """The picture and what is known of it."""
    content = record.read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        suffix = {"JPEG": "jpg"}.get(str(picture.format), str(picture.format).lower())
    fields = {"key": record.key, "captions": record.captions, "label": record.label}
    for ending, data in ((suffix, content), ("json", json.dumps(fields).encode())):
        member = tarfile.TarInfo(f"{name}.{ending}")
        member.size = len(data)
        shard.addfile(member, io.BytesIO(data))
