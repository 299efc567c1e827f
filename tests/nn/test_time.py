"""Numbers as sinusoids and time as a vector, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from textok.nn.time import TimeEmbedding, sinusoids


@pytest.mark.parametrize("width", [4, 5])
def test_sinusoids_by_hand(width: int) -> None:
    """Two frequencies: 1 and 10,000 ** -0.5 = 0.01."""
    expected = [math.cos(3), math.cos(0.03), math.sin(3), math.sin(0.03)] + [0.0] * (width - 4)
    table = sinusoids(torch.tensor([[0, 3]]), width)
    assert table.shape == (1, 2, width) and table.dtype == torch.float32
    torch.testing.assert_close(table[0, 1], torch.tensor(expected))
    assert table[0, 0].tolist() == [1, 1, 0, 0] + [0] * (width - 4)


def test_time_counts_a_thousand_steps() -> None:
    embedding = TimeEmbedding(8)
    at = embedding(torch.tensor([0.25]))
    torch.testing.assert_close(at, embedding.mlp(sinusoids(torch.tensor([250.0]), 256)))
    assert embedding.mlp.inner.in_features == 256


def test_neighbouring_times_differ_less_than_distant_ones() -> None:
    torch.manual_seed(0)
    near, base, far = TimeEmbedding(64)(torch.tensor([0.501, 0.5, 0.9]))
    assert 0 < (near - base).norm() < 0.3 * (far - base).norm()


def test_times_are_read_in_float32_under_bf16_weights() -> None:
    """0.9990 and 0.9995 are one number in bf16."""
    times = torch.tensor([0.9990, 0.9995])
    embedding = TimeEmbedding(64).to(torch.bfloat16)
    first, second = embedding(times)
    assert first.dtype == torch.bfloat16 and not torch.equal(first, second)
