from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import one_hot

from textok.metrics.inception_score import inception_score


def test_a_classifier_that_knows_nothing_scores_one() -> None:
    found = inception_score(torch.zeros(50, 10))

    assert (found.mean, found.std) == (pytest.approx(1.0), pytest.approx(0.0))


def test_sure_and_balanced_scores_the_number_of_classes() -> None:
    # Sorted by class: contiguous splits would hold one class each and score 1.
    labels = torch.arange(8).repeat_interleave(10)
    found = inception_score(1000.0 * one_hot(labels))

    assert (found.mean, found.std) == (pytest.approx(8.0), pytest.approx(0.0, abs=1e-9))


def test_unsure_pictures_by_hand() -> None:
    # Two classes at 3:1 and 1:3, mean 1:1: KL = 0.75 log 1.5 + 0.25 log 0.5.
    logits = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    found = inception_score(logits, splits=1)

    assert found.mean == pytest.approx(math.exp(0.75 * math.log(1.5) + 0.25 * math.log(0.5)))


def test_spread_is_over_the_splits() -> None:
    # Split 0 has two sure classes, split 1 one: scores 2 and 1.
    logits = 1000.0 * one_hot(torch.tensor([0, 0, 1, 0]))
    found = inception_score(logits, splits=2)

    assert (found.mean, found.std) == (pytest.approx(1.5), pytest.approx(0.5))


def test_too_few_pictures() -> None:
    with pytest.raises(ValueError, match="over 10 splits needs 10 pictures or more"):
        inception_score(torch.zeros(9, 2))
