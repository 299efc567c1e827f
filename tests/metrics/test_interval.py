from __future__ import annotations

import math

import numpy as np
import pytest

from textok.metrics.interval import Interval, mean_interval


def test_equal_values_have_no_interval() -> None:
    assert mean_interval([2.5] * 7) == Interval(mean=2.5, low=2.5, high=2.5)


def test_interval_is_that_of_the_normal_theory() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400).tolist()
    found = mean_interval(values)
    half = 1.96 * float(np.std(values)) / math.sqrt(400)

    assert found.mean == pytest.approx(float(np.mean(values)))
    assert found.mean - found.low == pytest.approx(half, rel=0.15)
    assert found.high - found.mean == pytest.approx(half, rel=0.15)
    assert mean_interval(values) == found
