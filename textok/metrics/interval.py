"""A mean with its bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST = 2**14
"""Numbers that are drawn at once: one resample of few images takes longer to call than to draw."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over images and the interval it would fall in with 95 % confidence."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], *, resamples: int = 1000, seed: int = 0) -> Interval:
    """Mean and 95 % percentile bootstrap interval (Efron 1979); the same values give the same."""
    assert len(values) > 0
    sample = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means: list[float] = []
    for start in range(0, resamples, at_once := max(1, MOST // len(sample))):
        shape = (min(at_once, resamples - start), len(sample))
        means += sample[generator.integers(0, len(sample), shape)].mean(axis=1).tolist()
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(mean=float(sample.mean()), low=float(low), high=float(high))
