"""``textok train maskgit``: a masked generator on the codes of stored latents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from textok.config import TrainMaskGITConfig
from textok.config.check import require
from textok.latents import LatentSet
from textok.train.on_latents import fit_shape, open_both, train_on_latents
from textok.train.unmasking import Unmasking


def train_maskgit(config: TrainMaskGITConfig) -> Path:
    """Train a MaskGIT on stored codes, or go on with it, in the folder ``run.out``; returns it.

    All that ``train_generator`` does for a DiT, on the latents of a tokenizer with a codebook.

    Raises ValueError for settings that cannot be, or that an interrupted run was not made with.
    """
    latents = open_both(config)
    config = fitted(config, latents.train)
    return train_on_latents(config, latents, Unmasking(config))


def fitted(config: TrainMaskGITConfig, latents: LatentSet) -> TrainMaskGITConfig:
    """The settings with those that follow from the latents filled in.

    Raises ValueError where they say otherwise than the latents do, and for latents without codes.
    """
    size = latents.index.codebook_size
    require(
        size > 0,
        f"{config.latents.path}: latents of a continuous tokenizer; `textok train generator` "
        "trains on them, or use a tokenizer with bottleneck vq",
    )
    shape = fit_shape(config.generator, config, latents, codebook_size=size)
    return replace(config, generator=shape)
