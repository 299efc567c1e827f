"""The Frechet distance as a loss (FD-loss, arXiv 2604.28190).

Mean and covariance are those of a large population of generated images, the gradient goes through
the present batch alone. At a population N(m, S) and a reference N(m_r, S_r) the squared distance is

    d = |m - m_r|^2 + tr(S + S_r - 2 (R S R)^(1/2)),  R = S_r^(1/2),

whose derivatives are 2 (m - m_r) with respect to m and I - T with respect to S, where
T = R (R S R)^(-1/2) R is the optimal transport map between the two Gaussians. A feature f of the
population of n therefore has the gradient 2 (f - y) / n with y = m_r + T (f - m): the feature is
drawn to its place in the reference, and the mean of |f - y|^2 over the population is d itself. So
the loss of a batch is its mean squared distance to y, held fixed.

Legend: B batch, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from einops import einsum
from torch import Tensor, nn

RIDGE = 1e-3
"""Added to both covariances, times the mean variance of the reference: the map then stays bounded
where the population does not vary at all."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A Gaussian that features are drawn to, as its statistics are needed; float64, on the CPU."""

    mean: Tensor
    """(F,)."""
    root: Tensor
    """(F, F) the symmetric root of its covariance with the ridge."""
    ridge: float
    """What is added to the diagonal of covariances."""

    @classmethod
    def of(cls, mean_F: Tensor, covariance_FF: Tensor, *, ridge: float = RIDGE) -> Reference:
        """The Gaussian of ``mean`` and ``covariance``. Raises ValueError for one of no variance."""
        mean, covariance = (given.to("cpu", torch.float64) for given in (mean_F, covariance_FF))
        variance = float(covariance.trace())
        if not variance > 0:
            raise ValueError("all real images have the same features: give different images")
        added = ridge * variance / len(mean)
        values, vectors = _eigen(_with_ridge(covariance, added))
        return cls(mean=mean, root=_composed(values.sqrt(), vectors), ridge=added)

    @property
    def variance(self) -> float:
        """The sum of the variances of the features."""
        return float(self.root.square().sum()) - self.ridge * len(self.mean)

    def transport(self, mean_F: Tensor, covariance_FF: Tensor) -> tuple[Tensor, Tensor]:
        """T (F, F) from a Gaussian to this one, and their squared distance, a scalar.

        Both covariances have the ridge. float64, symmetric, positive definite.
        """
        covariance = _with_ridge(covariance_FF, self.ridge)
        values, vectors = _eigen(self.root @ covariance @ self.root)
        matrix = self.root @ _composed(values.rsqrt(), vectors) @ self.root
        trace = covariance.trace() + self.root.square().sum() - 2 * values.sqrt().sum()
        distance = (mean_F - self.mean).square().sum() + trace
        # Rounding can leave the distance to itself a hair below zero.
        return matrix, distance.clamp_min(0)


class Population(nn.Module):
    """Statistics of the latest features made, and the map from them to a reference.

    Mean and covariance are exact over the first ``size`` features; after that older ones fade, so
    that a feature counts for about as long as ``size`` newer ones take. The map is computed from
    them when there are ``size``, and again every ``every`` updates. All of it is the module's
    state, float64 on the CPU; the reference is not.
    """

    mean: Tensor
    covariance: Tensor
    matrix: Tensor
    centre: Tensor
    distance: Tensor
    seen: Tensor
    age: Tensor

    def __init__(self, reference: Reference, *, size: int, every: int) -> None:
        super().__init__()
        self.reference, self.size, self.every = reference, size, every
        width = len(reference.mean)
        zeros = torch.zeros(width, width, dtype=torch.float64)
        for name, value in {
            "mean": zeros[0].clone(),
            "covariance": zeros.clone(),
            "matrix": zeros.clone(),
            "centre": zeros[0].clone(),
            "distance": torch.zeros((), dtype=torch.float64),
            "seen": torch.tensor(0),
            "age": torch.tensor(every),
        }.items():
            self.register_buffer(name, value)

    @property
    def filled(self) -> bool:
        """Whether as many features have been seen as the statistics are to be taken over."""
        return int(self.seen) >= self.size

    @torch.no_grad()
    def update(self, features_nF: Tensor) -> None:
        """Add features, those of one step from all processes."""
        features = features_nF.detach().to("cpu", torch.float64)
        count = len(features)
        share = count / min(max(self.size, count), int(self.seen) + count)
        mean = features.mean(dim=0)
        centred, shift = features - mean, mean - self.mean
        own = centred.T @ centred / count
        # The covariance of a mixture of two sets with these shares.
        self.covariance.lerp_(own, share).add_(torch.outer(shift, shift), alpha=share * (1 - share))
        self.mean.add_(shift, alpha=share)
        self.seen += count
        self.age += 1
        if self.filled and int(self.age) >= self.every:
            matrix, distance = self.reference.transport(self.mean, self.covariance)
            self.matrix.copy_(matrix)
            self.distance.copy_(distance)
            self.centre.copy_(self.mean)
            self.age.zero_()

    def forward(self, features_BF: Tensor) -> Tensor:
        """The mean squared distance of a batch to its places in the reference: a float32 scalar.

        As a share of the reference's variance: about 1 where all images are alike.
        """
        features = features_BF.float()
        known = (self.matrix, self.centre, self.reference.mean)
        matrix, centre, mean = (value.to(features.device, torch.float32) for value in known)
        moved = einsum(features.detach() - centre, matrix, "B F, F G -> B G")
        squares_B = (features - (mean + moved)).square().sum(dim=1)
        return squares_B.mean() / self.reference.variance


@dataclass(frozen=True, kw_only=True)
class FrechetTerms:
    """What a batch of generated images gives."""

    loss: Tensor
    """Mean over the networks, a float32 scalar; 0 while the populations are not filled."""
    features: dict[str, Tensor]
    """(B, F) of each network, without gradients: what the populations are updated with."""


class FrechetLoss(nn.Module):
    """Populations in the features of several frozen networks.

    ``networks`` take images (B, 3, H, W) in [-1, 1] to features (B, F), with gradients. They are
    no part of the state.
    """

    def __init__(
        self,
        networks: Mapping[str, Callable[[Tensor], Tensor]],
        populations: Mapping[str, Population],
    ) -> None:
        super().__init__()
        assert set(networks) == set(populations)
        self._networks = dict(networks)
        self.populations = nn.ModuleDict(populations)

    @property
    def filled(self) -> bool:
        """Whether all populations are: until then there is nothing to descend."""
        return all(population.filled for _, population in self._each())

    def forward(self, images_B3HW: Tensor) -> FrechetTerms:
        """Of images that need not be clamped; float32, also under autocast."""
        with torch.autocast(images_B3HW.device.type, enabled=False):
            images = images_B3HW.float().clamp(-1, 1)
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.filled):
                features = {name: self._networks[name](images) for name, _ in self._each()}
            losses = [population(features[name]) for name, population in self._each()]
            # Not a number where a feature is none.
            waiting = (
                sum((one.detach().mean() for one in features.values()), images.new_zeros(())) * 0
            )
        loss = torch.stack(losses).mean() if self.filled else waiting
        return FrechetTerms(
            loss=loss, features={name: found.detach() for name, found in features.items()}
        )

    def update(self, features: Mapping[str, Tensor]) -> None:
        """Add the features of one step, of all its images."""
        for name, population in self._each():
            population.update(features[name])

    def distances(self) -> dict[str, Tensor]:
        """``fd_NETWORK``: the population's squared distances when their maps were computed."""
        return {f"fd_{name}": population.distance.float() for name, population in self._each()}

    def _each(self) -> list[tuple[str, Population]]:
        return [
            (name, one) for name, one in self.populations.items() if isinstance(one, Population)
        ]


def _with_ridge(covariance_FF: Tensor, ridge: float) -> Tensor:
    return covariance_FF + ridge * torch.eye(len(covariance_FF), dtype=covariance_FF.dtype)


def _eigen(matrix_FF: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, kept above 0 where rounding has put them below, and eigenvectors."""
    values, vectors = torch.linalg.eigh((matrix_FF + matrix_FF.T) / 2)
    least = values[-1] * len(values) * torch.finfo(values.dtype).eps
    return values.clamp_min(least), vectors


def _composed(values_F: Tensor, vectors_FF: Tensor) -> Tensor:
    return (vectors_FF * values_F) @ vectors_FF.T
