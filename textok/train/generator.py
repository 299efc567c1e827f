"""``textok train generator``: a DiT on stored latents.

Legend: B micro-batch, K latent tokens, C channels.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from textok.config import GeneratorConfig, TrainGeneratorConfig
from textok.config.check import require
from textok.diffusion import objective
from textok.generator import DiT
from textok.latents import LatentScale, LatentSet
from textok.train.distributed import Distributed
from textok.train.feature_alignment import GeneratorAlignment, open_generator_alignment
from textok.train.objective import Network, Outcome, Terms
from textok.train.on_latents import fit_shape, open_both, random_source, train_on_latents
from textok.train.projection import Projection
from textok.train.randomness import RandomSource, StepRandomness, sample_for_diffusion
from textok.types import Condition, LatentBatch, Latents

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Times of the validation losses; 0 is the data, 1 the noise."""


class Denoising:
    """Velocity or noise of latents that are sampled from their distribution and normalised.

    With ``alignment`` also the features of their images, from a hidden state.
    """

    def __init__(
        self,
        generator: GeneratorConfig,
        scale: LatentScale,
        *,
        source: RandomSource,
        alignment: GeneratorAlignment | None = None,
    ) -> None:
        self.objective, self._alignment = objective(generator.objective), alignment
        self._generator, self._scale, self._source = generator, scale, source

    def sample(self, step: int) -> StepRandomness:
        shape = self._generator
        return sample_for_diffusion(
            self._source, step, num_tokens=shape.num_tokens, channels=shape.channels
        )

    def evaluate(
        self, network: Network, batch: LatentBatch, randomness: StepRandomness, step: int
    ) -> Outcome:
        """The objective's mean ``loss``; with an alignment the sum of that and its own."""
        posterior, noise, normal = randomness.posterior, randomness.noise, randomness.time
        assert posterior is not None and noise is not None and normal is not None
        tokens = self._normalised(batch.latents.sample(posterior))
        times = self.objective.sample_timesteps(normal)
        noisy = self.objective.add_noise(tokens, noise, times)
        condition = batch.condition.drop(randomness.drop)
        if self._alignment is None:
            output = network(noisy, times, condition)
            return Outcome(terms={"loss": self.objective.loss(output, tokens, noise, times).mean()})
        assert batch.features is not None
        output, hidden = network(noisy, times, condition, hidden_after=self._alignment.block)
        denoising = self.objective.loss(output, tokens, noise, times).mean()
        alignment = self._alignment(hidden, batch.features)
        loss = denoising + self._alignment.weight * alignment
        return Outcome(terms={"loss": loss, "denoising": denoising, "alignment": alignment})

    def validation_losses(
        self, network: Network, latents: Latents, condition: Condition, generator: torch.Generator
    ) -> Terms:
        """``t0.1`` and so on: the objective's losses (B,) at these times, with the same noise."""
        tokens = self._normalised(latents.mean)
        noise = torch.randn(tokens.shape, generator=generator).to(tokens.device)
        losses = {}
        for level in LEVELS:
            times = tokens.new_full((len(tokens),), level)
            output = network(self.objective.add_noise(tokens, noise, times), times, condition)
            losses[f"t{level}"] = self.objective.loss(output, tokens, noise, times)
        return losses

    def _normalised(self, tokens_BKC: Tensor) -> Tensor:
        return self._scale.to(tokens_BKC.device).normalise(tokens_BKC)


def train_generator(config: TrainGeneratorConfig) -> Path:
    """Train a DiT on stored latents, or resume its training, in the folder ``run.out``; returns it.

    Run it again after any interruption: it resumes from the newest good checkpoint. Works in one
    process and under ``torchrun`` or ``accelerate launch`` alike. No pixel is read: latents,
    captions and the tokenizer come from the folder of ``textok extract``.

    Raises ValueError for settings that contradict each other, or that the interrupted run did not
    have.
    """
    latents = open_both(config)
    config, scale = fitted(config, latents.train), latents.train.scale
    if config.generator.alignment.weight > 0:
        latents = replace(latents, train=latents.train.with_features())
    width = latents.train.index.feature_width

    def new_objective(distributed: Distributed) -> tuple[Denoising, Projection | None]:
        alignment = open_generator_alignment(config, width, distributed)
        source = random_source(config)
        denoising = Denoising(config.generator, scale, source=source, alignment=alignment)
        return denoising, None if alignment is None else alignment.projection

    return train_on_latents(
        config, latents, lambda: DiT(config.generator), new_objective, scale=scale
    )


def fitted(config: TrainGeneratorConfig, latents: LatentSet) -> TrainGeneratorConfig:
    """The settings with those that follow from the latents filled in.

    Raises ValueError where a setting contradicts the latents, and for an alignment with features
    that they do not have.
    """
    index, alignment = latents.index, config.generator.alignment
    shape = fit_shape(config.generator, config, latents, channels=index.channels)
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
