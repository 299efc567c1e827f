"""The rows of a split, one for each caption of each image, and the images they need."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from textok.data import CaptionedImages
from textok.data.fingerprint import sizes
from textok.data.pixels import BadImageError
from textok.data.records import Record
from textok.data.sides import names_a_side
from textok.latents.shard import LatentRow
from textok.runtime.loader import own_generator, read_ahead


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What could be read of a batch of rows: each image once, and which row needs which."""

    pixels: Tensor
    """(images, H, W, 3) uint8."""
    places: Tensor
    """(rows,) int64: the image of each row."""
    rows: list[LatentRow]
    bad: dict[str, str]
    """Key and reason of each image that could not be read; its rows are left out."""


class RowPlan:
    """Rows in the order of the images; an image's captions follow each other.

    With ``flip`` they come again for the mirrored image, without those that say left or right where
    ``data.keep_sides`` is set. An image without captions is one row.
    """

    def __init__(self, images: CaptionedImages, *, flip: bool) -> None:
        self.images = images
        self._flip = flip
        counts = [len(self._rows(record)) for record in images.records]
        self._ends: NDArray[np.int64] = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def place(self, row: int) -> tuple[int, bool, str]:
        """The number of the row's image, whether it is mirrored, and the caption."""
        image = int(np.searchsorted(self._ends, row, side="right"))
        rows = self._rows(self.images.records[image])
        mirrored, caption = rows[row - int(self._ends[image])]
        return image, mirrored, caption

    @property
    def not_mirrored(self) -> int:
        """Captions whose mirrored row is left out, because they say left or right."""
        whole = sum(max(1, len(record.captions)) for record in self.images.records)
        return 2 * whole - len(self) if self._flip else 0

    def _rows(self, record: Record) -> list[tuple[bool, str]]:
        """Whether each row of an image is mirrored, and its caption."""
        captions = record.captions or ("",)
        keep_sides = self.images.config.keep_sides
        mirrored = [text for text in captions if not (keep_sides and names_a_side(text))]
        again = [(True, text) for text in mirrored] if self._flip else []
        return [*((False, text) for text in captions), *again]

    def captions(self) -> Iterator[str]:
        """Every caption of every image."""
        return (caption for record in self.images.records for caption in record.captions)

    def digest(self) -> str:
        """SHA-256 of every key, caption and label, in order."""
        digest = hashlib.sha256()
        for record in self.images.records:
            line = [record.key, record.captions, record.label]
            digest.update(json.dumps(line).encode())
        return digest.hexdigest()

    def sizes_digest(self) -> str:
        """SHA-256 of the bytes that each image takes, in order; no image is opened."""
        return hashlib.sha256(repr(sizes(self.images.records)).encode()).hexdigest()


def read_pictures(plan: RowPlan, batches: Sequence[range], *, workers: int) -> Iterator[Pictures]:
    """The images of each batch of rows, in order."""
    loader: DataLoader[Pictures] = DataLoader(
        _Batches(plan),
        sampler=batches,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=own_generator(),
    )
    largest = max(map(len, batches), default=0)
    return read_ahead(loader, batch_bytes=largest * plan.images.bytes_each)


@dataclass(frozen=True)
class _Batches(Dataset[Pictures]):
    plan: RowPlan

    def __getitem__(self, batch: range) -> Pictures:
        images, numbers = self.plan.images, dict[tuple[int, bool], int]()
        pixels: list[NDArray[np.uint8]] = []
        places, rows, bad = [], [], dict[str, str]()
        for row in batch:
            image, mirrored, caption = self.plan.place(row)
            record = images.records[image]
            if (image, mirrored) not in numbers:
                try:
                    pixels.append(images.read(image, flip=mirrored))
                except (BadImageError, OSError) as error:
                    bad[record.key] = str(error)
                    continue
                numbers[image, mirrored] = len(pixels) - 1
            places.append(numbers[image, mirrored])
            rows.append(LatentRow(key=record.key, caption=caption, label=record.label))
        size = images.image_size
        return Pictures(
            pixels=torch.from_numpy(np.array(pixels, dtype=np.uint8).reshape(-1, size, size, 3)),
            places=torch.tensor(places, dtype=torch.int64),
            rows=rows,
            bad=bad,
        )


def _as_it_is(pictures: Any) -> Any:
    return pictures
