"""What passes from encoder to decoder: C numbers a token, plain or as a Gaussian."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from textok.types import Latents


class ContinuousBottleneck(nn.Module):
    """Width to C channels: ``ae`` gives the numbers, ``kl`` a mean and a log-variance each."""

    def __init__(self, width: int, channels: int, kind: Literal["kl", "ae"]) -> None:
        super().__init__()
        self.mean = nn.Linear(width, channels)
        self.logvar = nn.Linear(width, channels) if kind == "kl" else None

    def start_spread(self, logvar: float) -> None:
        """Begin with the same log-variance for every image."""
        if self.logvar is not None:
            nn.init.zeros_(self.logvar.weight)
            nn.init.constant_(self.logvar.bias, logvar)

    def forward(self, x_BKD: Tensor) -> Latents:
        """(B, K, D) to Latents in float32, the log-variance held in [-30, 20]."""
        mean = self.mean(x_BKD).float()
        if self.logvar is None:
            return Latents(mean=mean)
        return Latents(mean=mean, logvar=self.logvar(x_BKD).float().clamp(-30.0, 20.0))


def kl_divergence(latents: Latents) -> Tensor:
    """KL(N(mean, var) || N(0, 1)) of each image, summed over K x C (Kingma & Welling 2014, B).

    Returns (B,); zeros for latents without a spread.
    """
    if latents.logvar is None:
        return latents.mean.new_zeros(latents.mean.shape[0])
    per_value = latents.mean.square() + latents.logvar.exp() - 1.0 - latents.logvar
    return 0.5 * torch.sum(per_value, dim=(1, 2))
