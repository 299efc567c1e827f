"""``textok train generator``: a DiT on stored latents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from textok.config import TrainGeneratorConfig
from textok.latents import LatentSet
from textok.train.denoising import Denoising
from textok.train.on_latents import fit_shape, open_both, train_on_latents


def train_generator(config: TrainGeneratorConfig) -> Path:
    """Train a DiT on stored latents, or go on with it, in the folder ``run.out``; returns it.

    Run it again after any interruption: it continues from the newest good checkpoint. Works in one
    process and under ``torchrun`` or ``accelerate launch`` alike. No pixel is read: latents,
    captions and the tokenizer come from the folder of ``textok extract``.

    Raises ValueError for settings that cannot be, or that an interrupted run was not made with.
    """
    latents = open_both(config)
    config = fitted(config, latents.train)
    return train_on_latents(config, latents, Denoising(config, latents.train.scale))


def fitted(config: TrainGeneratorConfig, latents: LatentSet) -> TrainGeneratorConfig:
    """The settings with those that follow from the latents filled in.

    Raises ValueError where they say otherwise than the latents do.
    """
    channels = latents.index.channels
    shape = fit_shape(config.generator, config, latents, channels=channels)
    return replace(config, generator=shape)
