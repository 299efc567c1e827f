"""The rows of a split, one for each caption of each image, and the pictures they need."""

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
from textok.data.pixels import BadImageError
from textok.latents.shard import Row


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What could be read of a batch of rows: each picture once, and which row needs which."""

    pixels: Tensor
    """(pictures, H, W, 3) uint8."""
    places: Tensor
    """(rows,) int64: the picture of each row."""
    rows: list[Row]
    bad: dict[str, str]
    """Key and reason of each image that could not be read; its rows are left out."""


class RowPlan:
    """Rows in the order of the images; an image's captions follow each other.

    With ``flip`` they come again for the mirrored image. An image without captions is one row.
    """

    def __init__(self, images: CaptionedImages, *, flip: bool) -> None:
        self.images = images
        self._times = 2 if flip else 1
        counts = [self._times * max(1, len(record.captions)) for record in images.records]
        self._ends: NDArray[np.int64] = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def place(self, row: int) -> tuple[int, bool, str]:
        """The number of the row's image, whether it is mirrored, and the caption."""
        image = int(np.searchsorted(self._ends, row, side="right"))
        captions = self.images.records[image].captions or ("",)
        left = int(self._ends[image]) - row - 1
        return image, self._times == 2 and left < len(captions), captions[-1 - left % len(captions)]

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


def read_pictures(plan: RowPlan, batches: Sequence[range], *, workers: int) -> Iterator[Pictures]:
    """The pictures of each batch of rows, in order."""
    loader: DataLoader[Pictures] = DataLoader(
        _Batches(plan),
        sampler=batches,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
    )
    return iter(loader)


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
            rows.append(Row(key=record.key, caption=caption, label=record.label))
        size = images.image_size
        return Pictures(
            pixels=torch.from_numpy(np.array(pixels, dtype=np.uint8).reshape(-1, size, size, 3)),
            places=torch.tensor(places, dtype=torch.int64),
            rows=rows,
            bad=bad,
        )


def _as_it_is(pictures: Any) -> Any:
    return pictures
