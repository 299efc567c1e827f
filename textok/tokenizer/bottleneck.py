"""What passes from encoder to decoder: C numbers a token, plain, as a Gaussian, or one of V codes.

Legend: B batch, K latent tokens, D width, C channels, V codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from textok.config import TokenizerConfig
from textok.nn.codebook import Codebook, RevivingCodebook
from textok.types import Latents


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Latents, and what they were before a codebook took their place."""

    latents: Latents
    pre_quant: Tensor | None = None
    """(B, K, C) of a ``vq`` bottleneck; None for others."""


class Bottleneck(nn.Module):
    """(B, K, D) to ``Encoded`` latents, without log-variance or codes unless overridden."""

    mean: nn.Linear
    """Width to the C channels."""

    def init_logvar(self, logvar: float) -> None:
        """Begin with the same log-variance for every image."""

    def get_codebook(self) -> Codebook | None:
        """The codebook of a discrete one."""
        return None


class ContinuousBottleneck(Bottleneck):
    """Width to C channels: ``ae`` gives the numbers, ``kl`` a mean and a log-variance each."""

    def __init__(self, width: int, channels: int, kind: Literal["kl", "ae"]) -> None:
        super().__init__()
        self.mean = nn.Linear(width, channels)
        self.logvar = nn.Linear(width, channels) if kind == "kl" else None

    def init_logvar(self, logvar: float) -> None:
        if self.logvar is not None:
            nn.init.zeros_(self.logvar.weight)
            nn.init.constant_(self.logvar.bias, logvar)

    def forward(self, x_BKD: Tensor) -> Encoded:
        """(B, K, D) to latents in float32, the log-variance held in [-30, 20]."""
        mean = self.mean(x_BKD).float()
        if self.logvar is None:
            return Encoded(latents=Latents(mean=mean))
        logvar = self.logvar(x_BKD).float().clamp(-30.0, 20.0)
        return Encoded(latents=Latents(mean=mean, logvar=logvar))


class DiscreteBottleneck(Bottleneck):
    """Width to C channels, then to the nearest of V codes (TiTok, arXiv 2406.07550, eq. 2)."""

    def __init__(self, width: int, channels: int, codebook: Codebook) -> None:
        super().__init__()
        self.mean = nn.Linear(width, channels)
        self.codebook = codebook

    def get_codebook(self) -> Codebook:
        return self.codebook

    def forward(self, x_BKD: Tensor) -> Encoded:
        """(B, K, D) to latents in float32 whose ``mean`` passes its gradient straight through."""
        pre_quant = self.mean(x_BKD).float()
        vectors, codes = self.codebook(pre_quant)
        return Encoded(latents=Latents(mean=vectors, codes=codes), pre_quant=pre_quant)


def build_bottleneck(config: TokenizerConfig) -> Bottleneck:
    """The bottleneck that ``config`` names."""
    width, channels = config.encoder.width, config.channels
    if config.bottleneck != "vq":
        return ContinuousBottleneck(width, channels, config.bottleneck)
    kind = RevivingCodebook if config.codebook.revive else Codebook
    codebook = kind(config.codebook.size, channels, l2_norm=config.codebook.l2_norm)
    return DiscreteBottleneck(width, channels, codebook)


def kl_divergence(latents: Latents) -> Tensor:
    """KL(N(mean, var) || N(0, 1)) of each image, summed over K x C (Kingma & Welling 2014, B).

    Returns (B,); zeros for latents without a log-variance.
    """
    if latents.logvar is None:
        return latents.mean.new_zeros(latents.mean.shape[0])
    per_value = latents.mean.square() + latents.logvar.exp() - 1.0 - latents.logvar
    return 0.5 * torch.sum(per_value, dim=(1, 2))
