"""What every training on images is given: batches, a few to look at, and its judges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from socket import gethostname

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from textok.config import DataConfig, GanConfig, LossConfig, RunConfig
from textok.config.check import require
from textok.data.cache import PictureCache, fill_cache
from textok.data.images import CaptionedImages, open_captioned_images
from textok.data.loading import eval_batches, mixture_order, train_batches
from textok.data.order import evenly_spaced
from textok.evaluate.reconstruction import evenly
from textok.losses.discriminator import PatchGANDiscriminator, StyleGANDiscriminator
from textok.losses.perceptual import logits_loss, perceptual_loss
from textok.train.examples import ahead
from textok.train.loop import Task
from textok.train.report import list_bad_files
from textok.train.session import Session
from textok.train.validation import Validation
from textok.types import Batch

PREVIEWS = 8


def train_on_images(session: Session, task: Task[Batch], images: CaptionedImages) -> Path:
    """Bring ``task`` to its last step on ``images`` and close the session; returns its folder."""
    accelerator = session.accelerator
    try:
        cache = open_cache(images, accelerator)
        session.train(task, partial(batches_from, session.config.run, images, cache, accelerator))
    finally:
        list_bad_files(session.folder.bad_files(accelerator.process_index), images.report)
    positions = session.config.run.steps * session.config.run.batch_size
    shares = describe_shares(images, seed=session.config.run.seed, positions=positions)
    return session.close("; ".join([images.report.summary(), *shares]))


def open_cache(images: CaptionedImages, accelerator: Accelerator) -> PictureCache | None:
    """All pictures, where ``data.cache`` asks for them; each process has its own copy.

    Raises ValueError where they do not fit into memory.
    """
    kind = images.config.cache
    if kind == "none":
        return None
    # All wait here for each other, so that nobody measures what another has taken already.
    hosts = gather_object([gethostname()])
    return fill_cache(
        images,
        kind,
        device=accelerator.device,
        copies=hosts.count(gethostname()),
        shown=accelerator.is_main_process,
    )


def batches_from(
    run: RunConfig,
    images: CaptionedImages,
    cache: PictureCache | None,
    accelerator: Accelerator,
    step: int,
) -> Iterator[Sequence[Batch]]:
    """This process's micro-batches of ``step`` and all after it.

    Those from a cache are made one step ahead, by a thread.
    """
    batches = train_batches(
        images,
        global_batch=run.batch_size,
        accumulate=run.accumulate,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        first_step=step,
        seed=run.seed,
        workers=images.config.workers,
        cache=cache,
    )
    return batches if cache is None else ahead(batches)


def describe_shares(images: CaptionedImages, *, seed: int, positions: int) -> list[str]:
    """What each set of a mixture gave to the first ``positions`` draws, a set a line."""
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


def build_perceptual(loss: LossConfig) -> nn.Module | None:
    """The perceptual network; None where the loss has no such term."""
    if loss.perceptual == 0:
        return None
    return perceptual_loss(loss.perceptual_net, path=loss.perceptual_path or None)


def build_logits(loss: LossConfig) -> nn.Module | None:
    """The classifier whose logits are compared; None where the loss has no such term."""
    if loss.logits == 0:
        return None
    return logits_loss(loss.logits_net, path=loss.logits_path or None)


def build_discriminator(gan: GanConfig, *, image_size: int) -> nn.Module | None:
    """The discriminator; None where the loss has no such term."""
    if gan.weight == 0:
        return None
    if gan.discriminator == "patchgan":
        return PatchGANDiscriminator(channel_max=gan.base)
    return StyleGANDiscriminator(image_size=image_size, channel_max=gan.base)


def open_preview(config: DataConfig, *, image_size: int) -> Batch:
    """A few pictures, evenly spread over the validation split, or the training set without one."""
    data = replace(config, workers=0, flip=False, crop="center")
    try:
        images = open_captioned_images(replace(data, split="val"), image_size=image_size)
    except ValueError:
        images = open_captioned_images(data, image_size=image_size)
    records = [images.records[index] for index in evenly_spaced(len(images), PREVIEWS)]
    return next(eval_batches(replace(images, records=records), batch_size=len(records)))


def open_validation(
    run: RunConfig, trained: CaptionedImages, *, device: torch.device
) -> Validation | None:
    """The pictures to measure in training, from the validation split; None where none are asked.

    Raises ValueError where there is no such split, where it has pictures that are ``trained`` on,
    or where what measures is missing.
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
    return Validation(evenly(images, run.validate_images), device=device)
