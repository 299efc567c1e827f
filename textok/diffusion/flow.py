"""Flow matching on straight paths (Lipman et al. 2022, arXiv 2210.02747; 2209.03003)."""

from __future__ import annotations

import torch
from einops import reduce
from torch import Tensor

from textok.config.generator import ObjectiveConfig
from textok.diffusion.broadcast import over_tokens

MIN_TIME = 0.05
"""Below it the velocity of a predicted x_0 would magnify its error (JiT, arXiv 2511.13720)."""


class Flow:
    """x_t = (1 - t) x_0 + t noise; the network gives the velocity dx/dt = noise - x_0."""

    def __init__(self, config: ObjectiveConfig) -> None:
        self.config = config

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return 1 - t, t

    def sample_timesteps(self, noise_B: Tensor) -> Tensor:
        """Logit-normal times (arXiv 2403.03206, section 3.1), or uniform ones; then shifted."""
        mean, std = self.config.time_mean, self.config.time_std
        assert mean is not None
        # The normal distribution function of normal noise is uniform.
        t = torch.sigmoid(mean + std * noise_B) if std else torch.special.ndtr(noise_B)
        return _shifted(t, self.config.time_shift)

    def times(self, steps: int, *, shift: float | None = None) -> Tensor:
        """Evenly spaced times, shifted as in training or by ``shift``."""
        even = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        return _shifted(even, self.config.time_shift if shift is None else shift)

    def add_noise(self, x0_BKC: Tensor, noise_BKC: Tensor, t: Tensor) -> Tensor:
        t = over_tokens(t)
        return (1 - t) * x0_BKC + t * noise_BKC

    def velocity(self, x0_BKC: Tensor, x_BKC: Tensor, t: Tensor) -> Tensor:
        """The velocity at ``x`` towards data ``x0``: (x_t - x_0) / t, with t at least MIN_TIME.

        For the training of networks that predict the data (JiT, arXiv 2511.13720, section 3).
        """
        return (x_BKC - x0_BKC) / over_tokens(t).clamp_min(MIN_TIME)

    def x0(self, output_BKX: Tensor, x_BKC: Tensor, t: Tensor) -> Tensor:
        return x_BKC - over_tokens(t) * output_BKX

    def logvar_weight(self, output_BKX: Tensor) -> Tensor:
        """0: fresh noise of the posterior's variance, which nothing is learnt about."""
        return output_BKX.new_zeros(())

    def loss(self, output_BKX: Tensor, x0_BKC: Tensor, noise_BKC: Tensor, t_B: Tensor) -> Tensor:
        velocity_BKC = noise_BKC.float() - x0_BKC.float()
        return reduce((output_BKX.float() - velocity_BKC).square(), "B K C -> B", "mean")


def _shifted(t: Tensor, shift: float) -> Tensor:
    """t' = s t / (1 + (s - 1) t) (arXiv 2403.03206, eq. 23): both ends stay."""
    return shift * t / (1 + (shift - 1) * t)
