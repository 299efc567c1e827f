from __future__ import annotations

import torch

from textok.text.pool import pool_states


def test_segments_are_averaged_over_the_real_tokens_alone() -> None:
    states_BTD = torch.tensor([[1.0, 2, 3, 4, 5, 99, 99], [10, 20, 99, 99, 99, 99, 99]])[..., None]
    mask_BT = states_BTD[..., 0] < 99

    pooled, mask = pool_states(states_BTD, mask_BT, 3)

    # five tokens in three segments: floor(j * 3 / 5) = 0 0 1 1 2
    assert pooled[..., 0].tolist() == [[1.5, 3.5, 5.0], [10.0, 20.0, 0.0]]
    assert mask.tolist() == [[True] * 3, [True, True, False]]


def test_sizes_differ_by_one_at_most() -> None:
    for real in range(1, 20):
        one_hot_BTD = torch.eye(24)[None]
        pooled, mask = pool_states(one_hot_BTD, torch.arange(24)[None] < real, 7)
        sizes = (pooled[0] > 0).sum(1)[mask[0]]
        assert sizes.sum() == real
        assert len(sizes) == min(real, 7)
        assert sizes.max() - sizes.min() <= 1


def test_a_row_without_tokens_stays_empty() -> None:
    pooled, mask = pool_states(torch.ones(1, 4, 2), torch.zeros(1, 4, dtype=torch.bool), 2)
    assert pooled.abs().sum() == 0
    assert not mask.any()
