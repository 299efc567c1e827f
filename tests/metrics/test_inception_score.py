from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import one_hot

from textok.metrics.inception_score import inception_score


def test_a_classifier_that_knows_nothing_scores_one() -> None:
    found = inception_score(torch.zeros(50, 10))

    assert (found.mean, found.std) == (pytest.approx(1.0), pytest.approx(0.0))


@pytest.mark.parametrize("order", ["sorted", "in turn", "in turn by 30", "shuffled"])
def test_ten_sure_classes_score_nearly_ten_in_any_order(order: str) -> None:
    """Splits that hold one class each would score 1. The mean over a split of 300 pictures is a
    sample's: log of the score falls short of log 10 by about 9 / (2 * 300)."""
    labels = {
        "sorted": torch.arange(10).repeat_interleave(300),
        "in turn": torch.arange(10).repeat(300),
        "in turn by 30": torch.arange(10).repeat_interleave(30).repeat(10),
        "shuffled": torch.arange(10).repeat(300)[torch.randperm(3000)],
    }[order]
    found = inception_score(1000.0 * one_hot(labels))

    assert found.mean == pytest.approx(10 * math.exp(-9 / 600), rel=0.01)
    assert 0 < found.std < 0.2


def test_equal_seeds_give_equal_scores() -> None:
    logits = torch.randn(100, 5, generator=torch.Generator().manual_seed(0))
    first, again, other = (inception_score(logits, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_unsure_pictures_by_hand() -> None:
    # Two classes at 3:1 and 1:3, mean 1:1: KL = 0.75 log 1.5 + 0.25 log 0.5.
    logits = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    found = inception_score(logits, splits=1)

    assert found.mean == pytest.approx(math.exp(0.75 * math.log(1.5) + 0.25 * math.log(0.5)))


def test_spread_is_over_the_splits() -> None:
    # Whichever split the one picture of class 1 is dealt to has two sure classes, the other one:
    # scores 2 and 1.
    logits = 1000.0 * one_hot(torch.tensor([0, 0, 1, 0]))
    found = inception_score(logits, splits=2)

    assert (found.mean, found.std) == (pytest.approx(1.5), pytest.approx(0.5))


def test_too_few_pictures() -> None:
    with pytest.raises(ValueError, match="over 10 splits needs 10 images or more"):
        inception_score(torch.zeros(9, 2))
