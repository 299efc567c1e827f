"""Numbers as sinusoids, and diffusion time as a vector. Legend: D width, F frequencies."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sinusoids(values: Tensor, width: int) -> Tensor:
    """(...) numbers to (..., width) in float32: cosines, then sines of ``width // 2`` frequencies.

    Wavelengths go from 2 pi to nearly 10,000 * 2 pi (Vaswani et al. 2017, section 3.5). The last
    channel of an odd width is zero.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=values.device)
    angles = values.float()[..., None] * 10_000.0 ** (-steps / max(half, 1))
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=-1), (0, width - 2 * half))


class EmbeddingMLP(nn.Module):
    """Two linear layers with a SiLU between them, to a vector that conditions a network."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, width)
        self.outer = nn.Linear(width, width)
        self.init_weights()

    def init_weights(self) -> None:
        """Normal 0.02 weights and zero biases."""
        for layer in (self.inner, self.outer):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., D)."""
        return self.outer(F.silu(self.inner(x.to(self.inner.weight.dtype))))


class TimeEmbedding(nn.Module):
    """Diffusion time t in [0, 1] as a vector: 256 sinusoids of 1000 t, then an MLP.

    DiT (arXiv 2212.09748, section 3.2) counts 1,000 steps; here time is a share of them, so that
    the same embedding serves continuous time. ``highest`` stands in for the 1000.
    """

    def __init__(self, width: int, frequencies: int = 256, *, highest: float = 1000.0) -> None:
        super().__init__()
        self.frequencies, self.highest = frequencies, highest
        self.mlp = EmbeddingMLP(frequencies, width)

    def forward(self, t: Tensor) -> Tensor:
        """(...) to (..., D)."""
        return self.mlp(sinusoids(self.highest * t, self.frequencies))
