"""``textok train tokenizer``: from settings to a trained tokenizer in a run folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from operator import attrgetter
from pathlib import Path

import torch
from torch import nn

from textok.config import RunConfig, TokenizerConfig, TrainTokenizerConfig
from textok.config.check import require
from textok.data.fingerprint import fingerprint
from textok.data.images import CaptionedImages, open_captioned_images
from textok.losses.discriminator import build_discriminator
from textok.losses.frechet import FrechetLoss
from textok.losses.reconstruction import ReconstructionLoss, trained_with
from textok.runtime.pretrained import ASKED_FOR, check_state
from textok.text import TextFeaturesSource
from textok.text.folder import find_text_model
from textok.text.open import same_features
from textok.tokenizer import Tokenizer
from textok.train.distillation import Distillation, open_distillation
from textok.train.distributed import Distributed
from textok.train.feature_alignment import TokenizerAlignment, open_tokenizer_alignment
from textok.train.frechet import open_frechet_loss, open_networks
from textok.train.images import open_preview, open_validation, train_on_images
from textok.train.lora import add_adapters
from textok.train.memory import check_memory
from textok.train.randomness import RandomSource
from textok.train.reconstruction_validator import ReconstructionValidator
from textok.train.session import Session, open_session
from textok.train.task import TrainingTask, Validator
from textok.train.tokenizer_objective import TokenizerObjective, TokenizerRoundTrip
from textok.vqgan import VQGAN

_LOGGER = logging.getLogger(__name__)


def train_tokenizer(config: TrainTokenizerConfig) -> Path:
    """Train a tokenizer, or resume its training, in the folder ``run.out``; returns that folder.

    Run it again after any interruption: it resumes from the newest good checkpoint. Works in one
    process and under ``torchrun`` or ``accelerate launch`` alike.

    Raises ValueError for settings that contradict each other, or that the interrupted run did not
    have.
    """
    config.loss.frechet.check_filled(config.run)
    session = open_session(config)
    if session is None:
        return Path(config.run.out)
    size, distributed = config.tokenizer.image_size, session.distributed
    _check_memory(config.tokenizer, config.run, distributed)
    with distributed.main_first():
        images = open_captioned_images(config.data, image_size=size)
    if config.tokenizer.text != "none":
        images.require_captions()
    preview = open_preview(config.data, image_size=size)
    torch.manual_seed(config.run.seed)
    tokenizer = build_tokenizer(config)
    teacher = open_vqgan(config) if config.loss.codes > 0 else None
    distillation = open_distillation(config, distributed.device)
    loss = ReconstructionLoss(config.loss)
    discriminator = build_discriminator(config.loss.gan, image_size=size)
    alignment = open_tokenizer_alignment(config, distributed)
    networks = open_networks(config.loss.frechet, distributed.device)
    measured = open_validation(images, config.run, distributed=distributed)
    held_out = [*preview.captions, *([] if measured is None else measured.captions)]
    # Opened late, so that settings that are refused leave no folder behind.
    session.open_folder(partial(fingerprint, images), allow_changed=config.data.allow_changed)
    frechet = open_frechet_loss(
        config.loss.frechet,
        networks,
        images,
        run=session.folder.root,
        distributed=distributed,
    )
    text = open_tokenizer_text(config, session, images, held_out)
    held_out_text = text
    if measured is not None and text is not None:
        # An encoder runs once, on all processes: they validate different captions.
        held_out_text = text.precomputed(held_out)
    validator = ReconstructionValidator(
        TokenizerRoundTrip(held_out_text, device=distributed.device),
        preview=preview,
        measured=measured,
        device=distributed.device,
    )
    task = tokenizer_task(
        config,
        tokenizer,
        loss=loss,
        discriminator=discriminator,
        text=text,
        vqgan_teacher=teacher,
        validator=validator,
        distributed=distributed,
        alignment=alignment,
        frechet=frechet,
        distillation=distillation,
    )
    for line in config.unlearnt():
        distributed.print(line)
    return train_on_images(session, task, images, text, loss=config.loss)


def tokenizer_task(
    config: TrainTokenizerConfig,
    tokenizer: Tokenizer,
    *,
    loss: ReconstructionLoss,
    discriminator: nn.Module | None,
    text: TextFeaturesSource | None,
    vqgan_teacher: VQGAN | None,
    validator: Validator[Tokenizer],
    distributed: Distributed,
    alignment: TokenizerAlignment | None = None,
    frechet: FrechetLoss | None = None,
    distillation: Distillation | None = None,
) -> TrainingTask[Tokenizer]:
    """The tokenizer with what its training needs; ``loss`` and teacher are moved to the device."""
    run, device = config.run, distributed.device
    if alignment is not None:
        known = {*tokenizer.trained_with, alignment.network_name}
        tokenizer.trained_with = tuple(sorted(known))
    if run.compile:
        loss.compile_networks()
    objective = TokenizerObjective(
        tokenizer,
        loss.to(device),
        source=RandomSource(seed=run.seed, batch_size=run.batch_size, drop=config.text.drop),
        text=text,
        vqgan_teacher=None if vqgan_teacher is None else vqgan_teacher.to(device),
        alignment=alignment,
        frechet=frechet,
        distillation=distillation,
    )
    return TrainingTask(
        "tokenizer",
        tokenizer,
        objective=objective,
        validator=validator,
        save=Tokenizer.save_pretrained,
        optim=config.optim,
        run=run,
        distributed=distributed,
        gan=config.loss.gan,
        discriminator=discriminator,
        projection=None if alignment is None else alignment.projection,
        frechet=frechet,
    )


def build_tokenizer(config: TrainTokenizerConfig) -> Tokenizer:
    """A newly initialised tokenizer, or with the weights of ``init``, frozen as its stage needs.

    Raises ValueError where ``init`` or ``vqgan`` does not have the settings' shape.
    """
    text = config.text.portable if config.tokenizer.text != "none" else None
    tokenizer = Tokenizer(config.tokenizer, text=text)
    inherited: tuple[str, ...] = ()
    if config.init:
        source = Tokenizer.from_pretrained(config.init, image_size=config.tokenizer.image_size)
        where = f"init {config.init}"
        check_state(tokenizer.state_dict(), source.state_dict(), where=where, to=ASKED_FOR)
        check_use(source.config, config.tokenizer, where=where)
        tokenizer.load_state_dict(source.state_dict())
        inherited = source.trained_with
        reads = source.text_config
        if reads and text and not same_features(reads, text, any_precision=True):
            _LOGGER.warning(
                "%s: it read captions by other settings of text than these (its encoder is %s): "
                "it has to learn to read anew",
                where,
                reads.encoder,
            )
    elif tokenizer.vqgan_decoder is not None:
        # Initialised with the decoder of the VQGAN whose codes are the targets.
        vqgan = open_vqgan(config)
        tokenizer.vqgan_decoder.load_state_dict(vqgan.decoder.state_dict())
        inherited = vqgan.trained_with
    tokenizer.trained_with = trained_with(config.loss, inherited)
    if config.freeze_encoder:
        tokenizer.freeze_encoder()
    if tokenizer.vqgan_decoder is not None and not config.loss.pixels:
        tokenizer.vqgan_decoder.requires_grad_(False)
    if config.freeze_decoder:
        tokenizer.freeze_decoder()
    tokenizer.set_grad_checkpointing(config.run.grad_checkpointing)
    if config.lora.on:
        add_adapters(tokenizer, config.lora, under="decoder")
    return tokenizer


def _check_memory(shape: TokenizerConfig, run: RunConfig, distributed: Distributed) -> None:
    widths = shape.encoder.depth * shape.encoder.width + shape.decoder.depth * shape.decoder.width
    check_memory(
        lambda: Tokenizer(shape),
        row=3 * shape.image_size**2,
        depth=widths * (shape.grid**2 + shape.num_tokens),
        run=run,
        distributed=distributed,
    )


def check_use(theirs: TokenizerConfig, ours: TokenizerConfig, *, where: str) -> None:
    """Raise ValueError naming a setting by which weights of the same shapes compute otherwise."""
    names = ["encoder.heads", "decoder.heads", "legacy_reshape"]
    names += ["codebook.l2_norm"] if ours.bottleneck == "vq" else []
    if ours.output == "codes":
        names += [f"vqgan.{one.name}" for one in fields(ours.vqgan) if one.name != "image_size"]
    for name in names:
        was, now = (attrgetter(name)(config) for config in (theirs, ours))
        require(
            was == now,
            f"{where}: its {name} is {was!r}, tokenizer.{name} is {now!r}: set it to {was!r}",
        )


def open_vqgan(config: TrainTokenizerConfig) -> VQGAN:
    """The VQGAN that ``vqgan`` names. Raises ValueError where its settings are others."""
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
