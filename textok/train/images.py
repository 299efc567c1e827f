"""What every training on images needs: its batches, its previews and its validation images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from socket import gethostname
from typing import Any

import torch

from textok.config import DataConfig, LossConfig, RunConfig
from textok.config.check import require
from textok.data.cache import PictureCache, fill_cache
from textok.data.images import CaptionedImages, open_captioned_images
from textok.data.loading import eval_batches, mixture_order, train_batches
from textok.data.order import evenly_spaced
from textok.evaluate.reconstruction import evenly
from textok.runtime.prefetch import prefetch
from textok.text import TextFeaturesSource
from textok.train.distributed import Distributed
from textok.train.reconstruction_validator import MeasuredImages, not_comparable
from textok.train.report import list_bad_files
from textok.train.session import Session
from textok.train.task import TrainingTask
from textok.types import Batch

PREVIEWS = 8


def train_on_images(
    session: Session,
    task: TrainingTask[Any],
    images: CaptionedImages,
    text: TextFeaturesSource | None = None,
    *,
    loss: LossConfig,
) -> Path:
    """Train ``task`` to its last step on ``images`` and close the session; returns its folder.

    Parts of ``loss`` that begin after that step are named first.

    A batch is made while the one before it is trained on, with the features that ``text`` has of
    its captions. An encoder runs when it is the batch's turn, since it may have to wait for the
    other processes.
    """
    run, distributed = session.config.run, session.distributed
    for line in loss.unheard(run.steps):
        distributed.print(line)
    try:
        cache = open_cache(images, distributed)

        def batches(step: int) -> Iterator[Sequence[Batch]]:
            made = train_batches(
                images,
                global_batch=run.batch_size,
                accumulate=run.accumulate,
                rank=distributed.rank,
                world_size=distributed.world_size,
                first_step=step,
                seed=run.seed,
                workers=images.config.workers,
                cache=cache,
                device=distributed.device,
            )
            return prefetch(with_text(islice(made, run.steps - step), text, distributed.device))

        session.train(task, batches)
    finally:
        list_bad_files(session.folder.bad_files(distributed.rank), images.report)
    shares = describe_shares(images, seed=run.seed, positions=run.steps * run.batch_size)
    return session.close(
        "; ".join([images.report.summary(), *shares]),
        not_comparable=not_comparable(*task.network.trained_with),
    )


def with_text(
    steps: Iterator[Sequence[Batch]], text: TextFeaturesSource | None, device: torch.device
) -> Iterator[Sequence[Batch]]:
    """The micro-batches with the features of their captions, where these are only read."""
    if text is None or not text.prefetchable:
        return steps
    return ([replace(one, text=text(one.captions).to(device)) for one in step] for step in steps)


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
    """A few images, evenly spaced over the validation split, or the training set without one."""
    data = replace(config, workers=0, flip=False, crop="center")
    try:
        images = open_captioned_images(replace(data, split="val"), image_size=image_size)
    except ValueError:
        images = open_captioned_images(data, image_size=image_size)
    records = [images.records[index] for index in evenly_spaced(len(images), PREVIEWS)]
    return next(eval_batches(replace(images, records=records), batch_size=len(records)))


def open_validation(
    trained: CaptionedImages, run: RunConfig, *, distributed: Distributed
) -> MeasuredImages | None:
    """Images of the validation split, evenly spaced over it, to be measured; None: nothing is.

    Raises ValueError where there is no such split, where it has images that are ``trained`` on,
    or where the packages or weights of a metric are missing.
    """
    if not run.validate_every:
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
        f"run.validate_every: {shared} of {len(images)} validation images are trained on; give "
        f"{data.path} the sub-folders train and val, or set it to 0",
    )
    return MeasuredImages(evenly(images, run.validate_images), distributed=distributed)
