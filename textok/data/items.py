"""Single images as they are read, in this process or by loader processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from textok.data.images import CaptionedImages
from textok.data.order import Draw, draw_generator
from textok.data.pixels import CENTER, BadImageError
from textok.data.sides import names_a_side
from textok.runtime.loader import own_generator, read_ahead

_Place = TypeVar("_Place", Draw, int)

MAX_TRIES = 100
"""How many images in a row may be unreadable when one is replaced by the next."""


class Augmentation(NamedTuple):
    """What is drawn at random for one image in one pass."""

    caption: str
    """One of its captions; empty where there is none."""
    crop: tuple[float, float]
    flip: bool


def augmentation_of(images: CaptionedImages, seed: int, draw: Draw) -> Augmentation:
    """Caption, crop and mirroring: a function of the seed, the pass and the image."""
    pick, flip, across, down = draw_generator(seed, draw).random(4)
    config, captions = images.config, images.records[draw.image].captions
    caption = captions[int(pick * len(captions))] if captions else ""
    sided = config.keep_sides and names_a_side(caption)
    return Augmentation(
        caption=caption,
        crop=(across, down) if config.crop == "random" else CENTER,
        flip=config.flip and bool(flip < 0.5) and not sided,
    )


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image as read, or None, and the files that failed on the way (key: reason)."""

    index: int
    caption: str
    pixels: NDArray[np.uint8] | None
    bad: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Items:
    """What could be read of a batch; as bytes, which leave a loader process faster than floats."""

    indices: list[int]
    captions: list[str]
    pixels: Tensor
    """(B, H, W, 3) uint8."""
    bad: dict[str, str]


@dataclass(frozen=True)
class TrainingItems(Dataset[Item]):
    """Reads the image of a draw, or the next readable one in its place."""

    images: CaptionedImages
    seed: int

    def __getitem__(self, draw: Draw) -> Item:
        bad: dict[str, str] = {}
        for step in range(MAX_TRIES):
            index = self.images.following(draw.image, step)
            augmentation = augmentation_of(self.images, self.seed, Draw(draw.epoch, index))
            try:
                pixels = self.images.read(index, crop=augmentation.crop, flip=augmentation.flip)
            except (BadImageError, OSError) as error:
                bad[self.images.records[index].key] = str(error)
            else:
                return Item(index=index, caption=augmentation.caption, pixels=pixels, bad=bad)
        return Item(index=draw.image, caption="", pixels=None, bad=bad)


@dataclass(frozen=True)
class EvaluationItems(Dataset[Item]):
    """Reads an image as it is, with its caption number ``caption``."""

    images: CaptionedImages
    caption: int = 0

    def __getitem__(self, index: int) -> Item:
        record = self.images.records[index]
        caption = record.captions[self.caption] if self.caption < len(record.captions) else ""
        try:
            pixels = self.images.read(index)
        except (BadImageError, OSError) as error:
            return Item(index=index, caption="", pixels=None, bad={record.key: str(error)})
        return Item(index=index, caption=caption, pixels=pixels, bad={})


def load(
    items: Dataset[Item], batches: Iterable[list[_Place]], *, workers: int, batch_bytes: int
) -> Iterator[Items]:
    """The ``batches`` of ``items``, read by ``workers`` processes; with 0 by this one.

    Raises ValueError where shared memory has no room for batches of ``batch_bytes``.
    """
    loader: DataLoader[Items] = DataLoader(
        items,  # type: ignore[arg-type]  # the loader is one of what is collated
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        generator=own_generator(),
    )
    return read_ahead(loader, batch_bytes=batch_bytes)


def _collate(items: Sequence[Item]) -> Items:
    read = [(item, torch.from_numpy(item.pixels)) for item in items if item.pixels is not None]
    return Items(
        indices=[item.index for item, _ in read],
        captions=[item.caption for item, _ in read],
        pixels=torch.stack([pixels for _, pixels in read]) if read else torch.empty(0, 1, 1, 3),
        bad={key: reason for item in items for key, reason in item.bad.items()},
    )
