"""What every training on images needs: its batches, its previews and its validation images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import Any

from textok.config import DataConfig, RunConfig
from textok.config.check import require
from textok.data.cache import PictureCache, fill_cache
from textok.data.images import CaptionedImages, open_captioned_images
from textok.data.loading import eval_batches, mixture_order, train_batches
from textok.evaluate.reconstruction import evenly
from textok.train.distributed import Distributed
from textok.train.prefetch import prefetch
from textok.train.reconstruction_validator import MeasuredImages
from textok.train.report import list_bad_files
from textok.train.session import Session
from textok.train.task import TrainingTask
from textok.types import Batch

PREVIEWS = 8


def train_on_images(session: Session, task: TrainingTask[Any], images: CaptionedImages) -> Path:
    """Train ``task`` to its last step on ``images`` and close the session; returns its folder."""
    run, distributed = session.config.run, session.distributed
    try:
        cache = open_cache(images, distributed)
        session.train(task, partial(image_batches, images, cache, run, distributed))
    finally:
        list_bad_files(session.folder.bad_files(distributed.rank), images.report)
    shares = describe_shares(images, seed=run.seed, positions=run.steps * run.batch_size)
    return session.close("; ".join([images.report.summary(), *shares]))


def open_cache(images: CaptionedImages, distributed: Distributed) -> PictureCache | None:
    """All images decoded, where ``data.cache`` is set; each process has its own copy.

    Raises ValueError where they do not fit into memory.
    """
    kind = images.config.cache
    if kind == "none":
        return None
    # All wait here for each other, so that none measures memory that another has taken already.
    hosts = distributed.gather_objects(gethostname())
    return fill_cache(
        images,
        kind,
        device=distributed.device,
        copies=hosts.count(gethostname()),
        shown=distributed.is_main,
    )


def image_batches(
    images: CaptionedImages,
    cache: PictureCache | None,
    run: RunConfig,
    distributed: Distributed,
    step: int,
) -> Iterator[Sequence[Batch]]:
    """This process's micro-batches of ``step`` and all after it.

    Those from a cache are made one step ahead, by a thread.
    """
    batches = train_batches(
        images,
        global_batch=run.batch_size,
        accumulate=run.accumulate,
        rank=distributed.rank,
        world_size=distributed.world_size,
        first_step=step,
        seed=run.seed,
        workers=images.config.workers,
        cache=cache,
    )
    return batches if cache is None else prefetch(batches)


def describe_shares(images: CaptionedImages, *, seed: int, positions: int) -> list[str]:
    """How often each set of a mixture was drawn in the first ``positions`` draws, a set a line."""
    if not images.parts:
        return []
    lines = []
    for part, draws in zip(
        images.parts, mixture_order(images, seed).counts(positions), strict=True
    ):
        records = [images.records[place] for place in part.images]
        captions = sum(len(record.captions) for record in records)
        lines.append(
            f"set {part.name}: weight {part.weight:.4g}, {len(records)} images, {captions} "
            f"captions, {draws} draws ({draws / len(records):.3g} passes)"
        )
    return lines


def open_preview(config: DataConfig, *, image_size: int) -> Batch:
    """A few images, evenly spread over the validation split, or the training set without one."""
    data = replace(config, workers=0, flip=False, crop="center")
    try:
        images = open_captioned_images(replace(data, split="val"), image_size=image_size)
    except ValueError:
        images = open_captioned_images(data, image_size=image_size)
    count = min(PREVIEWS, len(images))
    spread = [images.records[index * len(images) // count] for index in range(count)]
    return next(eval_batches(replace(images, records=spread), batch_size=count))


def open_validation(
    trained: CaptionedImages, run: RunConfig, distributed: Distributed
) -> MeasuredImages | None:
    """The images of the validation split that are measured; None where nothing is measured.

    Raises ValueError where there is no such split, where it has images that are ``trained`` on,
    or where the packages or weights of a metric are missing.
    """
    if run.validate_every == 0:
        return None
    data = replace(trained.config, split="val", workers=0, flip=False, crop="center")
    try:
        images = open_captioned_images(data, image_size=trained.image_size)
    except ValueError as error:
        raise ValueError(f"run.validate_every wants a validation split: {error}") from error
    known = {(record.file, record.span) for record in trained.records}
    shared = sum((record.file, record.span) in known for record in images.records)
    require(
        shared == 0,
        f"run.validate_every: {shared} of {len(images)} validation pictures are trained on; give "
        f"{data.path} the sub-folders train and val, or set it to 0",
    )
    return MeasuredImages(evenly(images, run.validate_images), distributed=distributed)
