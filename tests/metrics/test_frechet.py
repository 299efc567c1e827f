from __future__ import annotations

import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from textok.metrics.frechet import (
    FeatureStatistics,
    Moments,
    frechet_distance,
    merge_all,
    sample_warning,
)


def features(count: int, width: int, *, seed: int, offset: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) @ mixing + offset


def by_scipy(a: FeatureStatistics, b: FeatureStatistics) -> float:
    root = sqrtm(a.covariance.numpy() @ b.covariance.numpy()).real
    traces = a.covariance.trace() + b.covariance.trace() - 2 * root.trace()
    return float((a.mean - b.mean).square().sum() + traces)


def test_distance_agrees_with_scipy() -> None:
    a = FeatureStatistics.of(features(300, 24, seed=1))
    b = FeatureStatistics.of(features(200, 24, seed=2, offset=0.3))

    assert frechet_distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-10)


def test_distance_of_gaussians_with_diagonal_covariances() -> None:
    # Closed form: |mu_a - mu_b|^2 + sum_i (s_i - t_i)^2 with standard deviations s, t.
    a = gaussian(mean=[0.0, 1.0, 2.0], deviations=[1.0, 2.0, 3.0])
    b = gaussian(mean=[1.0, 1.0, 0.0], deviations=[2.0, 2.0, 0.5])

    assert frechet_distance(a, b) == pytest.approx(5.0 + 1.0 + 0.0 + 6.25, abs=1e-12)


def test_moments_stand_for_the_samples() -> None:
    a, b = (FeatureStatistics.of(features(50, 6, seed=seed)) for seed in (5, 6))
    alone = Moments(mean=a.mean, covariance=a.covariance)

    assert frechet_distance(alone, b) == frechet_distance(a, b) > 1


def gaussian(mean: list[float], deviations: list[float]) -> FeatureStatistics:
    variances = torch.tensor(deviations, dtype=torch.float64).square()
    return FeatureStatistics(
        count=11, mean=torch.tensor(mean, dtype=torch.float64), scatter=10 * variances.diag()
    )


def test_distance_with_fewer_samples_than_features() -> None:
    # Both covariances are singular and live in different planes: nothing is shared.
    a, b = torch.zeros(3, 8), torch.zeros(3, 8)
    a[:, 0], b[:, 1] = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([-2.0, 0.0, 2.0])

    first, second = FeatureStatistics.of(a), FeatureStatistics.of(b)

    assert frechet_distance(first, second) == pytest.approx(1.0 + 4.0, abs=1e-12)


@pytest.mark.parametrize(("count", "rank"), [(1, 0), (5, 4), (17, 16), (18, 17), (300, 128)])
def test_a_root_of_the_covariance_of_few_samples_and_of_many(count: int, rank: int) -> None:
    samples = features(count, 128, seed=7) * torch.logspace(-2, 2, 128, dtype=torch.float64)
    moments = FeatureStatistics.of(torch.cat([samples, samples])).moments

    assert moments.root.shape == (128, rank)
    largest = float(moments.covariance.abs().max())
    torch.testing.assert_close(
        moments.root @ moments.root.T, moments.covariance, rtol=0, atol=1e-13 * largest
    )


def test_distance_to_itself_is_zero() -> None:
    a = FeatureStatistics.of(features(20, 32, seed=3))

    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)


def test_batches_of_any_size_merge_to_the_whole() -> None:
    # The offset would swallow the covariance if squares were summed about zero in float32.
    whole = features(100, 6, seed=4, offset=1e6)
    parts = [FeatureStatistics.of(part) for part in whole.split([1, 40, 3, 56])]
    merged = merge_all([FeatureStatistics.empty(6), *parts])

    assert merged.count == 100
    torch.testing.assert_close(merged.mean, whole.mean(dim=0), rtol=1e-14, atol=0)
    torch.testing.assert_close(merged.covariance, whole.T.cov(), rtol=1e-7, atol=1e-8)


def test_too_few_samples() -> None:
    one = FeatureStatistics.of(torch.ones(1, 4))

    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        frechet_distance(one, one)
    assert sample_warning(1280, 1280) is None
    assert "500 images are fewer than the 1280 features" in str(sample_warning(500, 1280))
