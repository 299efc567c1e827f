"""Denoising as an objective: noise or velocity of latents at a random time.

Legend: B micro-batch, K latent tokens, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from textok.config import GeneratorConfig
from textok.diffusion import Objective, objective
from textok.latents import LatentScale
from textok.train.feature_alignment import GeneratorAlignment
from textok.train.objective import Network, Outcome, Terms
from textok.train.randomness import RandomSource, StepRandomness, sample_for_diffusion
from textok.types import Condition, LatentBatch, Latents

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Times of the validation losses; 0 is the data, 1 the noise."""


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """Velocity or noise of latents that are sampled from their distribution and normalised.

    With ``alignment`` also the features of their images, from a hidden state.
    """

    shape: GeneratorConfig
    scale: LatentScale
    """On the device of the latents."""
    source: RandomSource
    alignment: GeneratorAlignment | None = None

    @cached_property
    def objective(self) -> Objective:
        return objective(self.shape.objective)

    def sample(self, step: int) -> StepRandomness:
        return sample_for_diffusion(
            self.source, step, num_tokens=self.shape.num_tokens, channels=self.shape.channels
        )

    def evaluate(
        self, network: Network, batch: LatentBatch, randomness: StepRandomness, step: int
    ) -> Outcome:
        """The objective's mean ``loss``; with an alignment the sum of that and its own."""
        posterior, noise, normal = randomness.posterior, randomness.noise, randomness.time
        assert posterior is not None and noise is not None and normal is not None
        tokens = self.scale.normalise(batch.latents.sample(posterior))
        times = self.objective.sample_timesteps(normal)
        noisy = self.objective.add_noise(tokens, noise, times)
        condition = self.source.dropped(batch.condition, randomness)
        if self.alignment is None:
            output = network(noisy, times, condition)
            return Outcome(terms={"loss": self.objective.loss(output, tokens, noise, times).mean()})
        assert batch.features is not None
        output, hidden = network(noisy, times, condition, hidden_after=self.alignment.block)
        denoising = self.objective.loss(output, tokens, noise, times).mean()
        alignment = self.alignment(hidden, batch.features)
        loss = denoising + self.alignment.weight * alignment
        return Outcome(terms={"loss": loss, "denoising": denoising, "alignment": alignment})

    def validation_losses(
        self, network: Network, latents: Latents, condition: Condition, generator: torch.Generator
    ) -> Terms:
        """``t0.1`` and so on: the objective's losses (B,) at these times, with the same noise."""
        tokens = self.scale.normalise(latents.mean)
        noise = torch.randn(tokens.shape, generator=generator).to(tokens.device)
        losses = {}
        for level in LEVELS:
            times = tokens.new_full((len(tokens),), level)
            output = network(self.objective.add_noise(tokens, noise, times), times, condition)
            losses[f"t{level}"] = self.objective.loss(output, tokens, noise, times)
        return losses
