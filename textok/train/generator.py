"""``textok train generator``: a DiT on stored latents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from textok.config import TrainGeneratorConfig
from textok.config.check import require
from textok.generator import DiT
from textok.latents import LatentIndex, LatentScale
from textok.train.denoising import Denoising
from textok.train.distributed import Distributed
from textok.train.feature_alignment import GeneratorAlignment, open_generator_alignment
from textok.train.mean_flow import MeanFlow
from textok.train.on_latents import (
    TrainingLatents,
    fit_shape,
    open_both,
    random_source,
    train_on_latents,
    training_index,
)
from textok.train.post_training import sampled_as_trained
from textok.train.projection import Projection


def train_generator(config: TrainGeneratorConfig) -> Path:
    """Train a DiT on stored latents, or resume its training, in the folder ``run.out``; returns it.

    Run it again after any interruption: it resumes from the newest good checkpoint. Works in one
    process and under ``torchrun`` or ``accelerate launch`` alike. No pixel is read: latents,
    captions and the tokenizer come from the folder of ``textok extract``. ``frechet`` alone reads
    the images, once.

    Raises ValueError for settings that contradict each other, or that the interrupted run did not
    have.
    """
    config.frechet.check_filled(config.run)
    config = sampled_as_trained(config)
    index = training_index(config)
    config = fitted(config, index)

    def new_latents() -> TrainingLatents:
        latents = open_both(config)
        if config.generator.alignment.weight == 0:
            return latents
        return replace(latents, train=latents.train.with_features())

    def new_objective(
        latents: TrainingLatents, distributed: Distributed
    ) -> tuple[Denoising | MeanFlow, Projection | None]:
        alignment = open_generator_alignment(config, index.feature_width, distributed)
        scale = latents.train.scale.to(distributed.device)
        objective = generator_objective(config, scale, alignment)
        return objective, None if alignment is None else alignment.projection

    return train_on_latents(config, new_latents, lambda: DiT(config.generator), new_objective)


def generator_objective(
    config: TrainGeneratorConfig, scale: LatentScale, alignment: GeneratorAlignment | None = None
) -> Denoising | MeanFlow:
    """What ``generator.objective`` names, on latents of that ``scale``, on the same device."""
    kind = MeanFlow if config.generator.objective.name == "meanflow" else Denoising
    return kind(
        shape=config.generator,
        scale=scale,
        source=random_source(config),
        alignment=alignment,
    )


def fitted(config: TrainGeneratorConfig, index: LatentIndex) -> TrainGeneratorConfig:
    """The settings with those that follow from the latents filled in.

    Raises ValueError where a setting contradicts the latents, and for an alignment with features
    that they do not have.
    """
    alignment = config.generator.alignment
    shape = fit_shape(config.generator, config, index, channels=index.channels)
    if alignment.weight > 0:
        require(
            index.feature_width > 0,
            f"generator.alignment.weight is {alignment.weight:g} but {config.latents.path} has no "
            "features of images: extract latents with --features efficientnet_lite0, or set it to "
            "0",
        )
        require(
            alignment.network in ("", index.features),
            f"generator.alignment.network is '{alignment.network}' but {config.latents.path} has "
            f"features by {index.features}: leave it out",
        )
        shape = replace(shape, alignment=replace(alignment, network=index.features))
    return replace(config, generator=shape)
