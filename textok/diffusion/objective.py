"""What a generator's network is trained to predict, apart from the network.

Legend: B batch, K latent tokens, C channels, X = C x outputs numbers the network gives a token.
x_t = alpha(t) x_0 + sigma(t) noise, with t = 0 at the data and t = 1 at the noise. Where an image's
time is needed, (B,) gives each its own and () one to all.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from textok.config.generator import ObjectiveConfig
from textok.diffusion.ddpm import DDPM
from textok.diffusion.flow import Flow


class Objective(Protocol):
    """A path from data to noise, and how the network's output is read along it."""

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The weights of the data and of the noise at times ``t`` of any shape."""
        ...

    def sample_timesteps(self, noise_B: Tensor) -> Tensor:
        """Training times (B,) in (0, 1] out of standard-normal ``noise``."""
        ...

    def times(self, steps: int, *, shift: float | None = None) -> Tensor:
        """Times (steps + 1,) of a sampler, falling from 1 to 0; float64, on the CPU.

        ``shift`` stands in for the objective's own, where it has one.
        """
        ...

    def add_noise(self, x0_BKC: Tensor, noise_BKC: Tensor, t: Tensor) -> Tensor:
        """x_t (B, K, C)."""
        ...

    def x0(self, output_BKX: Tensor, x_BKC: Tensor, t: Tensor) -> Tensor:
        """The data (B, K, C) that an output for ``x`` at ``t`` predicts."""
        ...

    def logvar_weight(self, output_BKX: Tensor) -> Tensor:
        """Where a step's log-variance lies between the posterior's, 0, and beta's, 1: (B, K, C).

        A single 0 where the network learns none.
        """
        ...

    def loss(self, output_BKX: Tensor, x0_BKC: Tensor, noise_BKC: Tensor, t_B: Tensor) -> Tensor:
        """Loss (B,) of the output for ``add_noise(x0, noise, t)``, a mean over K and C; float32."""
        ...


def objective(config: ObjectiveConfig) -> Objective:
    """The objective that the config names; the path of ``meanflow`` is that of a flow."""
    return DDPM(config) if config.name == "ddpm" else Flow(config)
