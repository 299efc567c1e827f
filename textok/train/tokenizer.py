"""``textok train tokenizer``: from settings to a trained tokenizer in a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from textok.config import TrainTokenizerConfig
from textok.data.images import CaptionedImages, open_captioned_images
from textok.data.loading import eval_batches, train_batches
from textok.losses.discriminator import PatchGANDiscriminator, StyleGANDiscriminator
from textok.losses.perceptual import perceptual_loss
from textok.runtime.pretrained import check_state
from textok.text import FeatureCache
from textok.tokenizer import Tokenizer
from textok.train.report import list_bad_files
from textok.train.session import Session, open_session
from textok.train.tokenizer_task import TokenizerTask
from textok.types import Batch

PREVIEWS = 8


def train_tokenizer(config: TrainTokenizerConfig) -> Path:
    """Train a tokenizer, or go on with it, in the folder ``run.out``; returns that folder.

    Run it again after any interruption: it continues from the newest good checkpoint. Works in one
    process and under ``torchrun`` or ``accelerate launch`` alike.

    Raises ValueError for settings that cannot be, or that an interrupted run was not made with.
    """
    session = open_session(config)
    if session is None:
        return Path(config.run.out)
    accelerator = session.accelerator
    with accelerator.main_process_first():
        images = open_captioned_images(config.data, image_size=config.tokenizer.image_size)
    preview = open_preview(config)
    torch.manual_seed(config.run.seed)
    tokenizer = build_tokenizer(config)
    perceptual, discriminator = build_perceptual(config), build_discriminator(config)
    # Opened late, so that settings that cannot be leave no folder behind.
    session.open_folder()
    task = TokenizerTask(
        config,
        tokenizer=tokenizer,
        perceptual=perceptual,
        discriminator=discriminator,
        text=open_tokenizer_text(config, session, images, preview),
        preview=preview,
        accelerator=accelerator,
    )
    try:
        session.train(task, partial(batches_from, config, images, accelerator))
    finally:
        list_bad_files(session.folder.bad_files(accelerator.process_index), images.report)
    return session.close(images.report.summary())


def batches_from(
    config: TrainTokenizerConfig, images: CaptionedImages, accelerator: Accelerator, step: int
) -> Iterator[Sequence[Batch]]:
    """This process's micro-batches of ``step`` and all after it."""
    return train_batches(
        images,
        global_batch=config.run.batch_size,
        accumulate=config.run.accumulate,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        first_step=step,
        seed=config.run.seed,
        workers=config.data.workers,
    )


def build_tokenizer(config: TrainTokenizerConfig) -> Tokenizer:
    """A new tokenizer, with the weights of ``init`` if there is one."""
    # The saved model names its text encoder, not this machine's cache.
    text = replace(config.text, cache="") if config.tokenizer.text != "none" else None
    tokenizer = Tokenizer(config.tokenizer, text=text)
    if config.init:
        source = Tokenizer.from_pretrained(config.init, image_size=config.tokenizer.image_size)
        check_state(tokenizer.state_dict(), source.state_dict(), where=f"init {config.init}")
        tokenizer.load_state_dict(source.state_dict())
    return tokenizer


def build_perceptual(config: TrainTokenizerConfig) -> nn.Module | None:
    loss = config.loss
    if loss.perceptual == 0:
        return None
    return perceptual_loss(loss.perceptual_net, path=loss.perceptual_path or None)


def build_discriminator(config: TrainTokenizerConfig) -> nn.Module | None:
    gan = config.loss.gan
    if gan.weight == 0:
        return None
    if gan.discriminator == "patchgan":
        return PatchGANDiscriminator(channel_max=gan.base)
    return StyleGANDiscriminator(image_size=config.tokenizer.image_size, channel_max=gan.base)


def open_preview(config: TrainTokenizerConfig) -> Batch:
    """A few pictures, evenly spread over the validation split, or the training set without one."""
    size = config.tokenizer.image_size
    data = replace(config.data, workers=0, flip=False, crop="center")
    try:
        images = open_captioned_images(replace(data, split="val"), image_size=size)
    except ValueError:
        images = open_captioned_images(data, image_size=size)
    count = min(PREVIEWS, len(images))
    spread = [images.records[index * len(images) // count] for index in range(count)]
    return next(eval_batches(replace(images, records=spread), batch_size=count))


def open_tokenizer_text(
    config: TrainTokenizerConfig, session: Session, images: CaptionedImages, preview: Batch
) -> FeatureCache | None:
    """The features of all captions; None for a tokenizer that reads none."""
    if config.tokenizer.text == "none":
        return None
    width = session.text_cache(config.text).width
    if width != config.tokenizer.text_width:
        raise ValueError(
            f"tokenizer.text_width is {config.tokenizer.text_width} but {config.text.encoder} "
            f"gives {width}: set tokenizer.text_width={width}"
        )
    captions = [caption for record in images.records for caption in record.captions]
    return session.open_text(config.text, [*captions, *preview.captions])
