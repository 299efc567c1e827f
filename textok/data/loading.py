"""Batches for training and evaluation, the same whatever the processes that make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from textok.data.images import CaptionedImages
from textok.data.mixture_order import MixtureOrder
from textok.data.order import Draw, Order, draw_generator
from textok.data.pixels import CENTER, BadImageError, to_tensor
from textok.data.records import BadFilesError
from textok.types import Batch

_Place = TypeVar("_Place", Draw, int)

MAX_TRIES = 100
"""How many images in a row may be unreadable when one is replaced by the next."""


@dataclass(frozen=True, kw_only=True)
class _Item:
    """One image as read, or None, and the files that failed on the way (key: reason)."""

    index: int
    caption: str
    pixels: NDArray[np.uint8] | None
    bad: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class _Items:
    """What could be read of a batch; as bytes, which leave a loader process faster than floats."""

    indices: list[int]
    captions: list[str]
    pixels: Tensor
    """(B, H, W, 3) uint8."""
    bad: dict[str, str]


@dataclass(frozen=True)
class _TrainingItems(Dataset[_Item]):
    """Reads the image of a draw, or the next readable one in its place."""

    images: CaptionedImages
    seed: int

    def __getitem__(self, draw: Draw) -> _Item:
        bad: dict[str, str] = {}
        for step in range(MAX_TRIES):
            index = self.images.following(draw.image, step)
            try:
                return self._read(Draw(draw.epoch, index), bad)
            except (BadImageError, OSError) as error:
                bad[self.images.records[index].key] = str(error)
        return _Item(index=draw.image, caption="", pixels=None, bad=bad)

    def _read(self, draw: Draw, bad: dict[str, str]) -> _Item:
        pick, flip, across, down = draw_generator(self.seed, draw).random(4)
        config = self.images.config
        captions = self.images.records[draw.image].captions
        return _Item(
            index=draw.image,
            caption=captions[int(pick * len(captions))] if captions else "",
            pixels=self.images.read(
                draw.image,
                crop=(across, down) if config.crop == "random" else CENTER,
                flip=config.flip and flip < 0.5,
            ),
            bad=bad,
        )


@dataclass(frozen=True)
class _EvaluationItems(Dataset[_Item]):
    """Reads an image as it is, with its caption number ``caption``."""

    images: CaptionedImages
    caption: int

    def __getitem__(self, index: int) -> _Item:
        record = self.images.records[index]
        caption = record.captions[self.caption] if self.caption < len(record.captions) else ""
        try:
            pixels = self.images.read(index)
        except (BadImageError, OSError) as error:
            return _Item(index=index, caption="", pixels=None, bad={record.key: str(error)})
        return _Item(index=index, caption=caption, pixels=pixels, bad={})


def train_batches(
    images: CaptionedImages,
    *,
    global_batch: int,
    accumulate: int,
    rank: int,
    world_size: int,
    first_step: int,
    seed: int,
    workers: int,
) -> Iterator[list[Batch]]:
    """The ``accumulate`` micro-batches of each optimiser step from ``first_step`` on, without end.

    The global batch of a step, its captions, crops and mirrorings depend on ``seed`` and the step
    alone. An image that cannot be read is replaced by the next in ``images`` and counted.

    Raises:
        ValueError: the batch cannot be cut into equal parts.
        BadFilesError: more than ``data.max_bad_share`` of the files are bad.
    """
    order = Order(
        size=len(images),
        seed=seed,
        global_batch=global_batch,
        accumulate=accumulate,
        rank=rank,
        world_size=world_size,
        mixture=mixture_order(images, seed) if images.parts else None,
    )
    return _steps(images, order, first_step=first_step, workers=workers)


def mixture_order(images: CaptionedImages, seed: int) -> MixtureOrder:
    """Which image of which set each position of a training on a mixture draws."""
    return MixtureOrder(
        sizes=tuple(len(part.images) for part in images.parts),
        weights=tuple(part.weight for part in images.parts),
        seed=seed,
    )


def _steps(
    images: CaptionedImages, order: Order, *, first_step: int, workers: int
) -> Iterator[list[Batch]]:
    loaded = _load(_TrainingItems(images, order.seed), order.micro_batches(first_step), workers)
    while True:
        step = [_to_batch(images, next(loaded)) for _ in range(order.accumulate)]
        if any(len(batch.keys) < order.micro_batch for batch in step):
            raise BadFilesError(
                f"{MAX_TRIES} files in a row cannot be read: {images.report.summary()}"
            )
        yield step


def eval_batches(
    images: CaptionedImages,
    *,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    caption: int = 0,
) -> Iterator[Batch]:
    """Every image once over all ranks, in a fixed order, cut at the centre, never mirrored.

    ``caption`` counts the captions of an image from 0; an image that has fewer gets none. Images
    that cannot be read are left out and counted, so that batches may be smaller.

    Raises:
        ValueError: no image has a caption of that number.
        BadFilesError: more than ``data.max_bad_share`` of the files are bad.
    """
    if caption and all(len(record.captions) <= caption for record in images.records):
        raise ValueError(f"no image has a caption number {caption} (counted from 0)")
    starts = range(rank * batch_size, len(images), world_size * batch_size)
    indices = [list(range(s, min(s + batch_size, len(images)))) for s in starts]
    loaded = _load(_EvaluationItems(images, caption), indices, workers)
    batches = (_to_batch(images, items) for items in loaded)
    return (batch for batch in batches if batch.keys)


def _load(items: Dataset[_Item], batches: Iterable[list[_Place]], workers: int) -> Iterator[_Items]:
    loader = DataLoader(
        items,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        # Its own: the loader would otherwise draw from the global generator of the training run.
        generator=torch.Generator(),
    )
    return iter(loader)


def _collate(items: Sequence[_Item]) -> _Items:
    read = [(item, torch.from_numpy(item.pixels)) for item in items if item.pixels is not None]
    return _Items(
        indices=[item.index for item, _ in read],
        captions=[item.caption for item, _ in read],
        pixels=torch.stack([pixels for _, pixels in read]) if read else torch.empty(0, 1, 1, 3),
        bad={key: reason for item in items for key, reason in item.bad.items()},
    )


def _to_batch(images: CaptionedImages, items: _Items) -> Batch:
    images.note_bad(items.bad)
    records = [images.records[index] for index in items.indices]
    return Batch(
        images=to_tensor(items.pixels),
        captions=items.captions,
        keys=[record.key for record in records],
        labels=torch.tensor([images.number(r) for r in records]) if images.classes else None,
    )
