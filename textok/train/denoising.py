"""What a DiT learns: to take the noise off normalised latents.

Legend: B micro-batch, K latent tokens, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textok.config import TrainGeneratorConfig
from textok.diffusion import objective
from textok.generator import DiT
from textok.latents import LatentScale
from textok.train.chance import DiffusionChance, draw_diffusion
from textok.train.lesson import Network
from textok.types import Condition, Latents

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Times at which the loss is measured; 0 is the data, 1 the noise."""


class Denoising:
    """The velocity or the noise of latents drawn from their distribution."""

    def __init__(self, config: TrainGeneratorConfig, scale: LatentScale) -> None:
        self.config, self.scale = config, scale
        self.objective = objective(config.generator.objective)

    def new_generator(self) -> DiT:
        return DiT(self.config.generator)

    def draw(self, step: int) -> DiffusionChance:
        return draw_diffusion(self.config, step)

    def loss(
        self, network: Network, latents: Latents, condition: Condition, chance: DiffusionChance
    ) -> dict[str, Tensor]:
        """The objective's mean ``loss``."""
        tokens = self._normalised(latents.sample(chance.spread))
        times = self.objective.draw_times(chance.time)
        noisy = self.objective.add_noise(tokens, chance.noise, times)
        output = network(noisy, times, condition.drop(chance.drop))
        return {"loss": self.objective.loss(output, tokens, chance.noise, times).mean()}

    def judge(
        self, network: Network, latents: Latents, condition: Condition, chance: torch.Generator
    ) -> dict[str, Tensor]:
        """``t0.1`` and so on: the objective's losses at these times, under the same noise."""
        tokens = self._normalised(latents.mean)
        noise = torch.randn(tokens.shape, generator=chance).to(tokens.device)
        found = {}
        for level in LEVELS:
            times = tokens.new_full((len(tokens),), level)
            output = network(self.objective.add_noise(tokens, noise, times), times, condition)
            found[f"t{level}"] = self.objective.loss(output, tokens, noise, times)
        return found

    def _normalised(self, tokens_BKC: Tensor) -> Tensor:
        return self.scale.to(tokens_BKC.device).normalise(tokens_BKC)
