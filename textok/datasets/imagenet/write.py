"""One class as one tar shard: images, captions and metadata, whole or not at all."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from textok.config.data import Resize
from textok.data.pixels import (
    BadImageError,
    adm_shorter_side,
    decode,
    resize_shorter_side,
    to_square,
)
from textok.data.records import Record
from textok.datasets.imagenet.classes import class_names
from textok.datasets.imagenet.sources import ClassImages
from textok.runtime.files import atomic_write, write_text
from textok.runtime.notes import read_note

TEMPLATE = "a photo of a {name}"
JPEG_QUALITY = 95
BYTES_A_PIXEL = {"jpeg": 0.65, "png": 1.8}
"""Of photographs at 256 pixels; a guess that is meant to find a disk far too small."""
ASPECT = 1.35
"""Longer over shorter side of ImageNet's images on average; a guess in the same sense."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is written of an image; shards of the same recipe have the same bytes."""

    size: int
    """Pixels of the shorter side; 0 keeps the files as they are."""
    encoding: Literal["jpeg", "png"]
    captions: bool
    square: bool = True
    """Whether the centre square is cut."""
    resize: Resize = "lanczos"

    def estimate(self, images: int, size: int) -> int:
        """Bytes of a shard of ``images`` images that were ``size`` bytes."""
        tar = 512 * (3 + 2 + 1)  # headers, texts, padding
        pixels = self.size**2 * (1 if self.square else ASPECT)
        kept = pixels * BYTES_A_PIXEL[self.encoding] * images if self.size else size
        return round(kept) + tar * images

    def encode(self, data: bytes) -> tuple[str, bytes]:
        """Suffix and bytes of an image, read to its end. Raises BadImageError."""
        if not self.size:
            decode(data, size=1)  # a JPEG at an eighth: all of its bytes, few of its pixels
            return (".png" if data.startswith(b"\x89PNG") else ".jpg"), data
        adm = self.resize == "adm"
        image = decode(data, size=None if adm else self.size)
        if self.square:
            image = Image.fromarray(to_square(image, self.size, resize=self.resize))
        else:
            image = (adm_shorter_side if adm else resize_shorter_side)(image, self.size)
        stream = io.BytesIO()
        if self.encoding == "png":
            image.save(stream, "PNG")
            return ".png", stream.getvalue()
        # Full resolution of colour too: the images are what a tokenizer has to reproduce.
        image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
        return ".jpg", stream.getvalue()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A class to write to ``out``/SPLIT/SYNSET.tar."""

    images: ClassImages
    recipe: Recipe
    out: Path

    @property
    def shard(self) -> Path:
        return self.out / self.images.split / f"{self.images.synset}.tar"

    @property
    def note(self) -> Path:
        """What was written; it comes last, so that a shard without it is not finished."""
        return self.out / ".build" / self.images.split / f"{self.images.synset}.json"

    def finished(self) -> Written | None:
        """What an earlier run wrote from the same images."""
        written = read_note(self.note, Written)
        if written is None or not self.shard.is_file():
            return None
        same = written.source == self.source and written.bytes == self.shard.stat().st_size
        return written if same else None

    @property
    def source(self) -> list[int]:
        return [self.images.images, self.images.size]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A finished shard."""

    images: int
    bad: dict[str, str]
    """Why an image was left out, by its name."""
    bytes: int
    source: list[int]
    """Count and size of what it was made from."""


def write_shard(job: Job) -> Written:
    """Write the shard of a class, and then its note.

    Raises:
        ValueError: the archive of the class is damaged.
        OSError: a file is gone, or the disk is full.
    """
    images = job.images
    count, bad = 0, {}
    # Shared: a process that outlives a killed run may still write this class.
    with (
        atomic_write(job.shard, shared=True, flush=True) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for record in images.place.records():
            try:
                suffix, data = job.recipe.encode(record.read_bytes())
            except BadImageError as error:
                bad[record.key] = str(error)
                continue
            for name, content in _members(record, images.synset, job.recipe, suffix, data):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            count += 1
    size = job.shard.stat().st_size
    written = Written(images=count, bad=bad, bytes=size, source=job.source)
    write_text(job.note, json.dumps(asdict(written)))
    return written


def _members(
    record: Record, synset: str, recipe: Recipe, suffix: str, data: bytes
) -> list[tuple[str, bytes]]:
    """Image, caption and metadata of one image as WebDataset names them."""
    names = class_names()
    name = names[synset]
    facts = {"label": name, "synset": synset, "class_index": list(names).index(synset)}
    members = [(f"{record.key}{suffix}", data)]
    if recipe.captions:
        members.append((f"{record.key}.txt", TEMPLATE.format(name=name).encode()))
    return [*members, (f"{record.key}.json", json.dumps(facts).encode())]
