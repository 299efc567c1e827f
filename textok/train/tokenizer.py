"""``textok train tokenizer``: from settings to a trained tokenizer in a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import nn

from textok.config import TrainTokenizerConfig
from textok.data.images import CaptionedImages, open_captioned_images
from textok.data.loading import eval_batches, train_batches
from textok.losses.discriminator import PatchGANDiscriminator, StyleGANDiscriminator
from textok.losses.perceptual import perceptual_loss
from textok.runtime.checkpoint import checkpoint_step, list_checkpoints
from textok.runtime.device import best_device
from textok.runtime.run_folder import RunFolder
from textok.text import FeatureCache
from textok.tokenizer import Tokenizer
from textok.tokenizer.pretrained import check_state
from textok.train.loop import train
from textok.train.report import list_bad_files, write_report
from textok.train.tokenizer_task import TokenizerTask
from textok.types import Batch

FREE = frozenset(
    {
        "data.max_bad_share",
        "data.workers",
        "run.accumulate",
        "run.compile",
        "run.grad_checkpointing",
        "run.keep",
        "run.log_every",
        "run.max_bad_steps",
        "run.out",
        "run.save_every",
        "run.save_minutes",
        "run.sheet_every",
        "run.steps",
        "run.wandb",
        "text.cache",
    }
)
"""Settings that may change when a run is continued."""

PREVIEWS = 8


def train_tokenizer(config: TrainTokenizerConfig) -> Path:
    """Train a tokenizer, or go on with it, in the folder ``run.out``; returns that folder.

    Run it again after any interruption: it continues from the newest good checkpoint. Works in one
    process and under ``torchrun`` or ``accelerate launch`` alike.

    Raises ValueError for settings that cannot be, or that an interrupted run was not made with.
    """
    if not config.run.out:
        raise ValueError("run.out is empty: name the folder of the run")
    folder = RunFolder(Path(config.run.out))
    folder.check(config, free=FREE)
    accelerator = open_accelerator(config)
    done = [checkpoint_step(path) for path in list_checkpoints(folder.checkpoints)]
    if folder.report.exists() and max(done, default=0) >= config.run.steps:
        accelerator.print(f"{folder.root} is finished: {folder.report}")
        accelerator.end_training()
        return folder.root

    with accelerator.main_process_first():
        images = open_captioned_images(config.data, image_size=config.tokenizer.image_size)
    preview = open_preview(config)
    torch.manual_seed(config.run.seed)
    tokenizer = build_tokenizer(config)
    perceptual, discriminator = build_perceptual(config), build_discriminator(config)
    # Opened late, so that settings that cannot be leave no folder behind.
    if accelerator.is_main_process:
        folder.open(config)
    accelerator.wait_for_everyone()
    task = TokenizerTask(
        config,
        tokenizer=tokenizer,
        perceptual=perceptual,
        discriminator=discriminator,
        text=open_text(config, folder, images, preview, accelerator),
        preview=preview,
        accelerator=accelerator,
    )
    try:
        train(
            task,
            partial(batches_from, config, images, accelerator),
            config=config.run,
            folder=folder,
            accelerator=accelerator,
        )
    finally:
        list_bad_files(folder.bad_files(accelerator.process_index), images.report)
    if accelerator.is_main_process:
        write_report(folder, config, images.report.summary())
        accelerator.print(f"done: {folder.report}, model in {folder.model}")
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder.root


def open_accelerator(config: TrainTokenizerConfig) -> Accelerator:
    """Device and processes; ``run.batch_size`` must divide by processes x accumulation."""
    accelerator = Accelerator(
        cpu=best_device().type == "cpu",
        mixed_precision="no",
        # The first process may take long over the text features while the others wait.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=6))],
    )
    parts = accelerator.num_processes * config.run.accumulate
    if config.run.batch_size % parts:
        raise ValueError(
            f"run.batch_size {config.run.batch_size} is not a multiple of processes x "
            f"run.accumulate = {accelerator.num_processes} x {config.run.accumulate}"
        )
    return accelerator


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


def open_text(
    config: TrainTokenizerConfig,
    folder: RunFolder,
    images: CaptionedImages,
    preview: Batch,
    accelerator: Accelerator,
) -> FeatureCache | None:
    """The features of all captions, computed before training by one process, once."""
    if config.tokenizer.text == "none":
        return None
    place = Path(config.text.cache) if config.text.cache else folder.text_cache
    captions = [caption for record in images.records for caption in record.captions]
    captions += preview.captions
    cache = FeatureCache(config.text, place, device=accelerator.device)
    if cache.width != config.tokenizer.text_width:
        raise ValueError(
            f"tokenizer.text_width is {config.tokenizer.text_width} but {config.text.encoder} "
            f"gives {cache.width}: set tokenizer.text_width={cache.width}"
        )
    if accelerator.is_main_process:
        cache.warm(captions)
    accelerator.wait_for_everyone()
    cache = FeatureCache(config.text, place)
    if cache.cut:
        accelerator.print(f"text.max_tokens = {config.text.max_tokens} cut {cache.cut} captions")
    return cache
