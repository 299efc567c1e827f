from __future__ import annotations

import math

import pytest
import torch

from textok.latents import LatentScale
from textok.types import Latents


def test_measured_by_hand() -> None:
    """Two rows of one token: means 1 and 3, and 0 and 0; variances 4 and 2, and 1 and 1."""
    parts = [
        Latents(mean=torch.tensor([[[1.0, 0.0]]]), logvar=torch.tensor([[[math.log(4.0), 0.0]]])),
        Latents(mean=torch.tensor([[[3.0, 0.0]]]), logvar=torch.tensor([[[math.log(2.0), 0.0]]])),
    ]
    scale = LatentScale.measured(parts)

    assert scale.mean.tolist() == [2.0, 0.0]
    torch.testing.assert_close(scale.std, torch.tensor([2.0, 1.0]))  # sqrt(1 + 3), sqrt(0 + 1)
    without = LatentScale.measured(Latents(mean=part.mean) for part in parts)
    assert without.std.tolist() == [1.0, 0.0]


def test_measured_far_from_zero() -> None:
    """Float32 sums would lose a spread of 0.01 around 1000 altogether."""
    mean = 1000 + 0.01 * torch.randn(1000, 4, 1, dtype=torch.float64)
    scale = LatentScale.measured([Latents(mean=mean)])

    torch.testing.assert_close(scale.std, mean.std(correction=0).float()[None], rtol=1e-3, atol=0)


def test_normalised_tokens_have_mean_0_and_variance_1() -> None:
    noise = torch.Generator().manual_seed(0)
    mean = torch.randn(2000, 4, 3, generator=noise) * torch.tensor([0.1, 1.0, 5.0]) + 2
    latents = Latents(mean=mean, logvar=torch.full_like(mean, -2.0))
    scale = LatentScale.measured([latents])
    drawn = latents.sample(torch.randn(mean.shape, generator=noise))
    tokens = scale.normalise(drawn)

    torch.testing.assert_close(tokens.mean((0, 1)), torch.zeros(3), atol=0.05, rtol=0)
    torch.testing.assert_close(tokens.std((0, 1)), torch.ones(3), atol=0.05, rtol=0)
    torch.testing.assert_close(scale.denormalise(tokens), drawn)


def test_a_constant_channel_stays_finite() -> None:
    scale = LatentScale(torch.tensor([3.0]), torch.tensor([0.0]))
    tokens = scale.normalise(torch.full((1, 2, 1), 3.0))

    assert tokens.tolist() == [[[0.0], [0.0]]]
    assert scale.denormalise(torch.ones(1, 1, 1)).item() == pytest.approx(3.0001)
