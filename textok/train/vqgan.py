"""``textok train vqgan``: the convolutional autoencoder whose codes two-stage tokenizers learn."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from textok.config import TrainVQGANConfig
from textok.data.images import open_captioned_images
from textok.losses.trained_with import trained_with
from textok.nn.codebook import Codebook
from textok.runtime.pretrained import check_state
from textok.train.chance import Chance
from textok.train.images import (
    build_discriminator,
    build_logits,
    build_perceptual,
    open_preview,
    open_validation,
    train_on_images,
)
from textok.train.pixel_task import PixelTask
from textok.train.session import open_session
from textok.types import Batch, Reconstruction
from textok.vqgan import VQGAN


class VQGANTask(PixelTask[VQGAN]):
    """A VQGAN against pixels (Esser et al. 2021, arXiv 2012.09841, section 3.1)."""

    name = "vqgan"

    @property
    def codebook(self) -> Codebook:
        return self.network.codebook

    def draw(self, step: int) -> Chance:
        nothing = torch.zeros(self.settings.run.batch_size, dtype=torch.bool)
        return Chance(drop=nothing, noise=None, keep=None)

    def forward(self, batch: Batch, chance: Chance) -> Reconstruction:
        out: Reconstruction = self.parallel(batch.images)
        return out

    @property
    def last_layer(self) -> Tensor:
        return self.network.decoder.last_layer

    @torch.no_grad()
    def reconstructions(self, batch: Batch) -> dict[str, Tensor]:
        return {"reconstruction": self.averaged.decode(self.averaged.encode(batch.images))}

    def save(self, folder: Path) -> None:
        if self.accelerator.is_main_process:
            self.averaged.save_pretrained(folder)


def train_vqgan(config: TrainVQGANConfig) -> Path:
    """Train a VQGAN, or go on with it, in the folder ``run.out``; returns that folder.

    Run it again after any interruption: it continues from the newest good checkpoint. Works in one
    process and under ``torchrun`` or ``accelerate launch`` alike.

    Raises ValueError for settings that cannot be, or that an interrupted run was not made with.
    """
    session = open_session(config)
    if session is None:
        return Path(config.run.out)
    size = config.vqgan.image_size
    with session.accelerator.main_process_first():
        images = open_captioned_images(config.data, image_size=size)
    preview = open_preview(config.data, image_size=size)
    torch.manual_seed(config.run.seed)
    network = build_vqgan(config)
    perceptual = build_perceptual(config.loss)
    logits = build_logits(config.loss)
    discriminator = build_discriminator(config.loss.gan, image_size=size)
    validation = open_validation(config.run, images, device=session.accelerator.device)
    # Opened late, so that settings that cannot be leave no folder behind.
    session.open_folder()
    task = VQGANTask(
        config,
        network=network,
        perceptual=perceptual,
        discriminator=discriminator,
        preview=preview,
        accelerator=session.accelerator,
        logits=logits,
        validation=validation,
    )
    return train_on_images(session, task, images)


def build_vqgan(config: TrainVQGANConfig) -> VQGAN:
    """A new VQGAN, with the weights of ``init`` if there is one."""
    vqgan = VQGAN(config.vqgan)
    inherited: tuple[str, ...] = ()
    if config.init:
        source = VQGAN.from_pretrained(config.init)
        check_state(vqgan.state_dict(), source.state_dict(), where=f"init {config.init}")
        vqgan.load_state_dict(source.state_dict())
        inherited = source.trained_with
    vqgan.trained_with = trained_with(config.loss, inherited)
    return vqgan
