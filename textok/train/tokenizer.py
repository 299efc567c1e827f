"""``textok train tokenizer``: from settings to a trained tokenizer in a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from textok.config import TrainTokenizerConfig
from textok.config.check import require
from textok.data.images import CaptionedImages, open_captioned_images
from textok.losses.trained_with import trained_with
from textok.runtime.pretrained import check_state
from textok.text import TextFeaturesSource
from textok.text.folder import find_text_model
from textok.tokenizer import Tokenizer
from textok.train.images import (
    build_discriminator,
    build_logits,
    build_perceptual,
    open_preview,
    open_validation,
    train_on_images,
)
from textok.train.session import Session, open_session
from textok.train.tokenizer_task import TokenizerTask
from textok.vqgan import VQGAN


def train_tokenizer(config: TrainTokenizerConfig) -> Path:
    """Train a tokenizer, or go on with it, in the folder ``run.out``; returns that folder.

    Run it again after any interruption: it continues from the newest good checkpoint. Works in one
    process and under ``torchrun`` or ``accelerate launch`` alike.

    Raises ValueError for settings that cannot be, or that an interrupted run was not made with.
    """
    session = open_session(config)
    if session is None:
        return Path(config.run.out)
    size = config.tokenizer.image_size
    with session.accelerator.main_process_first():
        images = open_captioned_images(config.data, image_size=size)
    preview = open_preview(config.data, image_size=size)
    torch.manual_seed(config.run.seed)
    tokenizer = build_tokenizer(config)
    proxy = open_vqgan(config) if config.loss.codes > 0 else None
    perceptual = build_perceptual(config.loss)
    logits = build_logits(config.loss)
    discriminator = build_discriminator(config.loss.gan, image_size=size)
    validation = open_validation(config.run, images, device=session.accelerator.device)
    held_out = [*preview.captions, *([] if validation is None else validation.captions)]
    # Opened late, so that settings that cannot be leave no folder behind.
    session.open_folder()
    task = TokenizerTask(
        config,
        tokenizer=tokenizer,
        perceptual=perceptual,
        discriminator=discriminator,
        text=open_tokenizer_text(config, session, images, held_out),
        preview=preview,
        accelerator=session.accelerator,
        proxy=proxy,
        logits=logits,
        validation=validation,
    )
    return train_on_images(session, task, images)


def build_tokenizer(config: TrainTokenizerConfig) -> Tokenizer:
    """A new tokenizer, with the weights of ``init`` if there is one, frozen as the stage asks.

    Raises ValueError where ``init`` or ``vqgan`` is another model than the settings say.
    """
    text = config.text.portable if config.tokenizer.text != "none" else None
    tokenizer = Tokenizer(config.tokenizer, text=text)
    inherited: tuple[str, ...] = ()
    if config.init:
        source = Tokenizer.from_pretrained(config.init, image_size=config.tokenizer.image_size)
        check_state(tokenizer.state_dict(), source.state_dict(), where=f"init {config.init}")
        tokenizer.load_state_dict(source.state_dict())
        inherited = source.trained_with
    elif tokenizer.vqgan_decoder is not None:
        # A new one starts with the decoder of the VQGAN whose codes it learns.
        vqgan = open_vqgan(config)
        tokenizer.vqgan_decoder.load_state_dict(vqgan.decoder.state_dict())
        inherited = vqgan.trained_with
    tokenizer.trained_with = trained_with(config.loss, inherited)
    if config.freeze_encoder:
        tokenizer.freeze_encoder()
    if tokenizer.vqgan_decoder is not None and not config.loss.pixels:
        tokenizer.vqgan_decoder.requires_grad_(False)
    return tokenizer


def open_vqgan(config: TrainTokenizerConfig) -> VQGAN:
    """The VQGAN that ``vqgan`` names. Raises ValueError where it is not as the settings say."""
    vqgan = VQGAN.from_pretrained(config.vqgan_path)
    require(
        vqgan.config == config.tokenizer.vqgan,
        f"vqgan_path {config.vqgan_path} is {vqgan.config}, tokenizer.vqgan says "
        f"{config.tokenizer.vqgan}: give tokenizer.vqgan the settings of that VQGAN",
    )
    return vqgan


def open_tokenizer_text(
    config: TrainTokenizerConfig,
    session: Session,
    images: CaptionedImages,
    held_out: Sequence[str],
) -> TextFeaturesSource | None:
    """The features of all captions, and of those held out; None for one that reads none."""
    if config.tokenizer.text == "none":
        return None
    width = find_text_model(config.text.encoder).width
    if width != config.tokenizer.text_width:
        raise ValueError(
            f"tokenizer.text_width is {config.tokenizer.text_width} but {config.text.encoder} "
            f"gives {width}: set tokenizer.text_width={width}"
        )
    captions = [caption for record in images.records for caption in record.captions]
    return session.open_text(config.text, [*captions, *held_out])
