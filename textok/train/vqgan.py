"""``textok train vqgan``: the convolutional autoencoder whose codes two-stage tokenizers learn."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from textok.config import TrainVQGANConfig
from textok.data.fingerprint import fingerprint
from textok.data.images import open_captioned_images
from textok.losses.discriminator import build_discriminator
from textok.losses.reconstruction import ReconstructionLoss, trained_with
from textok.runtime.pretrained import ASKED_FOR, check_state
from textok.train.images import open_preview, open_validation, train_on_images
from textok.train.memory import check_memory
from textok.train.objective import Network, Outcome
from textok.train.randomness import StepRandomness
from textok.train.reconstruction_validator import ReconstructionValidator
from textok.train.session import open_session
from textok.train.task import TrainingTask
from textok.types import Batch
from textok.vqgan import VQGAN


class VQGANObjective:
    """Reconstruction of B images (Esser et al. 2021, arXiv 2012.09841, section 3.1)."""

    def __init__(self, vqgan: VQGAN, loss: ReconstructionLoss, *, batch_size: int) -> None:
        self._vqgan, self._loss, self._batch_size = vqgan, loss, batch_size

    def sample(self, step: int) -> StepRandomness:
        """Nothing is random."""
        return StepRandomness(drop=torch.zeros(self._batch_size, dtype=torch.bool))

    def evaluate(
        self, network: Network, batch: Batch, randomness: StepRandomness, step: int
    ) -> Outcome:
        out = network(batch.images)
        return Outcome.of(
            out,
            self._loss(out, batch.images, step),
            real=batch.images,
            last_layer=self._vqgan.decoder.last_layer,
            codebook=self._vqgan.codebook,
        )


@torch.no_grad()
def reconstruct(vqgan: VQGAN, batch: Batch) -> dict[str, Tensor]:
    """Images (B, 3, H, W), not clamped, of a batch of validation images."""
    return {"reconstruction": vqgan.decode(vqgan.encode(batch.images))}


def train_vqgan(config: TrainVQGANConfig) -> Path:
    """Train a VQGAN, or resume its training, in the folder ``run.out``; returns that folder.

    Run it again after any interruption: it resumes from the newest good checkpoint. Works in one
    process and under ``torchrun`` or ``accelerate launch`` alike.

    Raises ValueError for settings that contradict each other, or that the interrupted run did not
    have.
    """
    session = open_session(config)
    if session is None:
        return Path(config.run.out)
    size, distributed = config.vqgan.image_size, session.distributed
    if config.optim.name == "muon":
        distributed.print(
            "optim.name 'muon' is for the blocks of transformers: a VQGAN has none, AdamW trains it"
        )
    check_memory(
        lambda: VQGAN(config.vqgan),
        row=3 * size**2,
        depth=2 * config.vqgan.res_blocks * config.vqgan.width * size**2,
        run=config.run,
        distributed=distributed,
    )
    with distributed.main_first():
        images = open_captioned_images(config.data, image_size=size)
    preview = open_preview(config.data, image_size=size)
    torch.manual_seed(config.run.seed)
    vqgan = build_vqgan(config)
    loss = ReconstructionLoss(config.loss).to(distributed.device)
    if config.run.compile:
        loss.compile_networks()
    discriminator = build_discriminator(config.loss.gan, image_size=size)
    measured = open_validation(images, config.run, distributed=distributed)
    # Opened late, so that settings that are refused leave no folder behind.
    session.open_folder(partial(fingerprint, images), allow_changed=config.data.allow_changed)
    task = TrainingTask(
        "vqgan",
        vqgan,
        objective=VQGANObjective(vqgan, loss, batch_size=config.run.batch_size),
        validator=ReconstructionValidator(
            reconstruct, preview=preview, measured=measured, device=distributed.device
        ),
        save=VQGAN.save_pretrained,
        optim=config.optim,
        run=config.run,
        distributed=distributed,
        gan=config.loss.gan,
        discriminator=discriminator,
    )
    return train_on_images(session, task, images, loss=config.loss)


def build_vqgan(config: TrainVQGANConfig) -> VQGAN:
    """A newly initialised VQGAN, or with the weights of ``init``."""
    vqgan = VQGAN(config.vqgan)
    inherited: tuple[str, ...] = ()
    if config.init:
        source = VQGAN.from_pretrained(config.init)
        where = f"init {config.init}"
        check_state(vqgan.state_dict(), source.state_dict(), where=where, to=ASKED_FOR)
        vqgan.load_state_dict(source.state_dict())
        inherited = source.trained_with
    vqgan.trained_with = trained_with(config.loss, inherited)
    return vqgan
