"""What is hidden in training and what is learnt from it, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from textok.config.maskgit import MaskedLossConfig
from textok.generator.maskgit import draw_mask, mask_ratio, masked_loss


def test_ratios_follow_the_arccos() -> None:
    uniform = torch.tensor([0.0, 0.5, math.sqrt(0.5), 1.0])
    assert mask_ratio(uniform).tolist() == pytest.approx([1, 2 / 3, 1 / 2, 1e-6])
    # Its mean: the integral of arccos over [0, 1] is 1.
    even = (torch.arange(10_000) + 0.5) / 10_000
    assert mask_ratio(even).mean().item() == pytest.approx(2 / math.pi, rel=1e-4)


def test_the_tokens_with_the_least_noise_are_hidden() -> None:
    noise = torch.tensor([[0.3, 0.1, 0.9, 0.2]] * 5)
    ratio = torch.tensor([1.0, 0.5, 0.7, 0.6, 1e-6])
    hidden = draw_mask(ratio, noise)
    assert hidden.dtype == torch.bool
    # 0.7 * 4 = 2.8 and 0.6 * 4 = 2.4 are rounded; one is the least.
    assert hidden.int().tolist() == [
        [1, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 1], [0, 1, 0, 1], [0, 1, 0, 0],
    ]  # fmt: skip


def test_every_token_is_hidden_equally_often() -> None:
    noise = torch.rand(4000, 5, generator=torch.Generator().manual_seed(0))
    hidden = draw_mask(torch.full((4000,), 0.4), noise)
    assert hidden.sum(dim=1).unique().tolist() == [2]
    assert hidden.float().mean(dim=0).tolist() == pytest.approx([0.4] * 5, abs=0.03)


LOGITS = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]])
CODES = torch.tensor([[0, 0, 1]])
MASK = torch.tensor([[True, True, False]])


def cross_entropy(right: float, wrong: float, smoothing: float) -> float:
    total = math.log(math.exp(right) + math.exp(wrong))
    return (1 - smoothing / 2) * (total - right) + smoothing / 2 * (total - wrong)


@pytest.mark.parametrize(("smoothing", "weight"), [(0.1, 0.1), (0.0, 0.0), (0.3, 1.0)])
def test_loss_is_a_weighted_mean_over_all_tokens(smoothing: float, weight: float) -> None:
    terms = [cross_entropy(*pair, smoothing) for pair in ((2, 0), (0, 1), (0, 3))]
    expected = (terms[0] + terms[1] + weight * terms[2]) / (2 + weight)
    config = MaskedLossConfig(label_smoothing=smoothing, unmasked_weight=weight)
    found = masked_loss(LOGITS, CODES, MASK, config)
    assert found["loss"].item() == pytest.approx(expected)
    # Of the hidden ones, the first is right.
    assert found["accuracy"].item() == 0.5
    half = masked_loss(LOGITS.bfloat16(), CODES, MASK, config)["loss"]
    assert half.dtype == torch.float32 and half.item() == pytest.approx(expected)


def test_rows_share_one_mean() -> None:
    """Two rows, of which one has twice as many hidden tokens."""
    logits, codes = LOGITS.repeat(2, 1, 1), CODES.repeat(2, 1)
    mask = torch.tensor([[True, True, False], [False, False, True]])
    terms = [cross_entropy(*pair, 0) for pair in ((2, 0), (0, 1), (0, 3))]
    found = masked_loss(logits, codes, mask, MaskedLossConfig(label_smoothing=0, unmasked_weight=0))
    assert found["loss"].item() == pytest.approx(sum(terms) / 3)
    assert found["accuracy"].item() == pytest.approx(1 / 3)


def test_only_hidden_tokens_pull_where_the_others_weigh_nothing() -> None:
    logits = LOGITS.clone().requires_grad_()
    masked_loss(logits, CODES, MASK, MaskedLossConfig(unmasked_weight=0))["loss"].backward()
    assert logits.grad is not None
    assert logits.grad.abs().amax(dim=-1).gt(0).tolist() == MASK.tolist()


def test_equal_parts_add_up_to_the_whole_where_they_know_its_hidden_share() -> None:
    chance = torch.Generator().manual_seed(0)
    logits, codes = torch.randn(4, 3, 5, generator=chance), torch.arange(12).reshape(4, 3) % 5
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0]]).bool()
    whole = masked_loss(logits, codes, mask, MaskedLossConfig())
    share = torch.tensor(7 / 12)
    parts = [
        masked_loss(logits[rows], codes[rows], mask[rows], MaskedLossConfig(), hidden_share=share)
        for rows in (slice(2), slice(2, 4))
    ]
    for name in ("loss", "accuracy"):
        mean = (parts[0][name] + parts[1][name]) / 2
        assert mean.item() == pytest.approx(whole[name].item(), rel=1e-5)
