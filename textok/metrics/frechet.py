"""The Frechet distance between two sets of features, each summed up by its mean and covariance.

Legend: n samples, F features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Mean and covariance of features, all that a Frechet distance needs of a set."""

    mean: Tensor
    """(F,) float64."""
    covariance: Tensor
    """(F, F) float64."""

    @cached_property
    def root(self) -> Tensor:
        """(F, r) R with R R^T the covariance of rank r.

        Of few samples it takes a hundredth of the time of the symmetric eigendecomposition.
        """
        found = _cholesky(self.covariance, most=len(self.covariance) // 8)
        return self._eigen_root() if found is None else found

    def _eigen_root(self) -> Tensor:
        values, vectors = torch.linalg.eigh(self.covariance)
        # Below this, an eigenvalue is rounding (as in numpy's matrix_rank).
        kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
        return vectors[:, kept] * values[kept].sqrt()


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """Count, mean and scatter of features, in float64; two of them merge into one."""

    count: int
    mean: Tensor
    """(F,) float64."""
    scatter: Tensor
    """(F, F) float64, the summed outer products of the features about their mean."""

    @classmethod
    def empty(cls, width: int) -> FeatureStatistics:
        """Statistics of no sample of ``width`` features."""
        zeros = torch.zeros(width, width, dtype=torch.float64)
        return cls(count=0, mean=zeros[0].clone(), scatter=zeros)

    @classmethod
    def of(cls, features_nF: Tensor) -> FeatureStatistics:
        """Statistics of one batch of features (n, F)."""
        features = features_nF.detach().to("cpu", torch.float64)
        mean = features.mean(dim=0)
        centred = features - mean
        return cls(count=len(features), mean=mean, scatter=centred.T @ centred)

    def merge(self, other: FeatureStatistics) -> FeatureStatistics:
        """Statistics of both sets together (Chan et al. 1979: no cancellation of large sums)."""
        if self.count == 0 or other.count == 0:
            return other if self.count == 0 else self
        count = self.count + other.count
        shift = other.mean - self.mean
        return FeatureStatistics(
            count=count,
            mean=self.mean + shift * (other.count / count),
            scatter=self.scatter
            + other.scatter
            + torch.outer(shift, shift) * (self.count * other.count / count),
        )

    @property
    def covariance(self) -> Tensor:
        """(F, F) unbiased covariance. Raises ValueError for fewer than two samples."""
        if self.count < 2:
            raise ValueError(f"a Frechet distance needs at least 2 images, not {self.count}")
        return self.scatter / (self.count - 1)

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance. Raises ValueError for fewer than two samples."""
        return Moments(mean=self.mean, covariance=self.covariance)


def _cholesky(covariance_FF: Tensor, *, most: int) -> Tensor | None:
    """(F, r) R with R R^T the covariance of rank r; None where r is above ``most``.

    The Cholesky decomposition with pivots, which ends where what is left of every variance is
    rounding.
    """
    left_F = covariance_FF.diagonal().clone()
    rounding = left_F.max() * len(left_F) * torch.finfo(left_F.dtype).eps
    root_FR = left_F.new_zeros(len(left_F), most)
    for rank in range(most):
        pivot = int(left_F.argmax())
        if left_F[pivot] <= rounding:
            return root_FR[:, :rank]
        known_F = root_FR[:, :rank] @ root_FR[pivot, :rank]
        root_FR[:, rank] = (covariance_FF[:, pivot] - known_F) / left_F[pivot].sqrt()
        left_F -= root_FR[:, rank].square()
    return None


def merge_all(parts: Iterable[FeatureStatistics]) -> FeatureStatistics:
    """One statistic of all ``parts`` (of several processes, say), merged in their order."""
    first, *rest = parts
    for part in rest:
        first = first.merge(part)
    return first


def frechet_distance(
    first: FeatureStatistics | Moments, second: FeatureStatistics | Moments
) -> float:
    """|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)) (Heusel et al. 2017, eq. 6).

    With S = R R^T for both, the last trace is the sum of the singular values of R_a^T R_b: no root
    of a non-symmetric product, and nothing complex, also where the covariances are singular.
    """
    a, b = (given if isinstance(given, Moments) else given.moments for given in (first, second))
    assert a.mean.shape == b.mean.shape
    cross = torch.linalg.svdvals(a.root.T @ b.root).sum()
    trace = a.covariance.trace() + b.covariance.trace() - 2 * cross
    # Rounding can leave a set's distance to itself a hair below zero.
    return max(0.0, float((a.mean - b.mean).square().sum() + trace))


def sample_warning(count: int, width: int) -> str | None:
    """One line of warning where there are fewer samples than features, else None."""
    if count >= width:
        return None
    return (
        f"{count} images are fewer than the {width} features: the Frechet distance is biased "
        f"upwards and compares only with values from the same {count} images"
    )
