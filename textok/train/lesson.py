"""What a generator learns from stored latents; all else about its training does not ask.

Legend: B micro-batch, G global batch, K latent tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from textok.generator import TokenGenerator
from textok.latents import LatentScale
from textok.train.chance import LatentChance
from textok.types import Condition, Latents

Network = Callable[..., Tensor]
"""The forward pass of a generator."""
Draws = TypeVar("Draws", bound=LatentChance)


class Lesson(Protocol[Draws]):
    """A kind of generator, and what it learns."""

    @property
    def scale(self) -> LatentScale | None:
        """Between the tokenizer's latents and the generator's; None where it makes codes."""

    def new_generator(self) -> TokenGenerator:
        """One that has learnt nothing yet."""

    def draw(self, step: int) -> Draws:
        """What chance decides in ``step`` for all G latents, on the CPU."""

    def loss(
        self, network: Network, latents: Latents, condition: Condition, chance: Draws
    ) -> dict[str, Tensor]:
        """Scalars of B latents, float32: the ``loss`` and what else to log.

        Their means over the micro-batches of a step do not depend on how G was split.
        """

    def judge(
        self, network: Network, latents: Latents, condition: Condition, chance: torch.Generator
    ) -> dict[str, Tensor]:
        """Losses (B,) by how much was hidden; ``chance`` goes on from batch to batch."""
