"""Batches for training and evaluation, the same whatever the processes that make them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from textok.data.cache import PictureCache
from textok.data.images import CaptionedImages
from textok.data.items import (
    MAX_TRIES,
    EvaluationItems,
    Items,
    TrainingItems,
    augmentation_of,
    load,
)
from textok.data.mixture_order import MixtureOrder
from textok.data.order import Draw, Order
from textok.data.pixels import to_tensor
from textok.data.report import BadFilesError
from textok.types import Batch, upload


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
    cache: PictureCache | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[list[Batch]]:
    """The ``accumulate`` micro-batches of each optimiser step from ``first_step`` on, without end.

    The global batch of a step, its captions, crops and mirrorings depend on ``seed`` and the step
    alone. An image that cannot be read is replaced by the next in its set and counted. Images go
    to ``device`` as bytes and become numbers there. With ``cache`` nothing is read, by no
    ``workers``, and the batches are the same, on its device.

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
    if cache is None:
        return _steps(images, order, _from_files(images, order, first_step, workers, device))
    return _steps(images, order, _from_cache(images, cache, order, first_step))


def mixture_order(images: CaptionedImages, seed: int) -> MixtureOrder:
    """Which image of which set each position of a training on a mixture draws."""
    return MixtureOrder(
        sizes=tuple(len(part.images) for part in images.parts),
        weights=tuple(part.weight for part in images.parts),
        seed=seed,
    )


def _steps(
    images: CaptionedImages, order: Order, batches: Iterator[Batch]
) -> Iterator[list[Batch]]:
    while True:
        step = [next(batches) for _ in range(order.accumulate)]
        if any(len(batch.keys) < order.micro_batch for batch in step):
            raise BadFilesError(
                f"{MAX_TRIES} files in a row cannot be read: {images.report.summary()}"
            )
        yield step


def _from_files(
    images: CaptionedImages,
    order: Order,
    first_step: int,
    workers: int,
    device: torch.device | str,
) -> Iterator[Batch]:
    read = load(
        TrainingItems(images, order.seed),
        order.micro_batches(first_step),
        workers=workers,
        batch_bytes=order.micro_batch * images.bytes_each,
    )
    for items in read:
        yield _read_batch(images, items, device)


def _from_cache(
    images: CaptionedImages, cache: PictureCache, order: Order, first_step: int
) -> Iterator[Batch]:
    for draws in order.micro_batches(first_step):
        found = [_readable(images, cache, draw) for draw in draws]
        kept = [draw for draw in found if draw is not None]
        augmentations = [augmentation_of(images, order.seed, draw) for draw in kept]
        indices = [draw.image for draw in kept]
        pixels = cache.batch(indices, [augmentation.flip for augmentation in augmentations])
        yield _batch(
            images, indices, [augmentation.caption for augmentation in augmentations], pixels
        )


def _readable(images: CaptionedImages, cache: PictureCache, draw: Draw) -> Draw | None:
    """The draw itself, or of the next image that is not bad; None after ``MAX_TRIES``."""
    places = (images.following(draw.image, step) for step in range(MAX_TRIES))
    return next((Draw(draw.epoch, place) for place in places if place not in cache.bad), None)


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
    read = load(
        EvaluationItems(images, caption),
        indices,
        workers=workers,
        batch_bytes=batch_size * images.bytes_each,
    )
    batches = (_read_batch(images, items) for items in read)
    return (batch for batch in batches if batch.keys)


def _read_batch(images: CaptionedImages, items: Items, device: torch.device | str = "cpu") -> Batch:
    images.note_bad(items.bad)
    pixels = to_tensor(upload(items.pixels, device))
    return _batch(images, items.indices, items.captions, pixels)


def _batch(
    images: CaptionedImages, indices: list[int], captions: list[str], pixels_B3HW: Tensor
) -> Batch:
    records = [images.records[index] for index in indices]
    return Batch(
        images=pixels_B3HW,
        captions=captions,
        keys=[record.key for record in records],
        labels=torch.tensor([images.number(r) for r in records]) if images.classes else None,
    )
