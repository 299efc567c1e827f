"""The kernel distance between two sets of features: unlike Frechet's, unbiased for few images.

In Inception's features it is the kernel inception distance, KID.
Legend: n, m samples, F features, s samples of a subset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

SUBSETS, SUBSET_SIZE = 100, 1000
WHOLE = 4096
"""Sets of up to so many samples have their kernel computed once, 134 MB in float64: subsets of
small sets overlap."""

Block = Callable[[Tensor, Tensor], Tensor]
"""Numbers of samples of either set, (s,) and (s,), to the kernel of all pairs (s, s)."""


@dataclass(frozen=True, kw_only=True)
class KernelDistance:
    """Mean and standard deviation over the subsets; the mean of equal distributions is about 0."""

    mean: float
    std: float
    subset_size: int
    """s: 1,000, or as many as the smaller set has."""


def has_kernel(frechet_metric: str) -> bool:
    """Whether it is measured in that network: in every one but sFID's, where nobody reports it."""
    return frechet_metric != "sFID"


def kernel_metric(frechet_metric: str) -> str:
    """Its name in the network of a Frechet distance: KID for FID, KD-VGG16 for FD-VGG16."""
    return "KID" if frechet_metric == "FID" else frechet_metric.replace("FD", "KD", 1)


def kernel_distances(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, KernelDistance]:
    """By its name, the distance in every network that has one.

    ``a`` and ``b`` are features (n, F) and (m, F) by the name of the network's Frechet distance.
    Raises ValueError for a set of fewer than two samples.
    """
    return {
        kernel_metric(name): kernel_distance(a[name], b[name]) for name in a if has_kernel(name)
    }


def kernel_distance(
    a_nF: Tensor,
    b_mF: Tensor,
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = 0,
) -> KernelDistance:
    """Squared maximum mean discrepancy over random subsets (arXiv 1801.01401, section 4).

    The kernel is (x y / F + 1)^3 and the estimate unbiased, so that values may be below zero. Both
    sets are drawn from without replacement, with ``seed``, as many from each. Raises ValueError for
    a set of fewer than two samples.
    """
    assert a_nF.shape[1] == b_mF.shape[1]
    size = min(subset_size, len(a_nF), len(b_mF))
    if size < 2:
        raise ValueError(f"a kernel distance needs at least 2 images, not {size}")
    within_a, within_b = _kernel(a_nF, a_nF), _kernel(b_mF, b_mF)
    across = _kernel(a_nF, b_mF)
    generator = torch.Generator().manual_seed(seed)
    found = torch.empty(subsets, dtype=torch.float64)
    for subset in range(subsets):
        rows_s = torch.randperm(len(a_nF), generator=generator)[:size]
        columns_s = torch.randperm(len(b_mF), generator=generator)[:size]
        found[subset] = mmd2(
            within_a(rows_s, rows_s), within_b(columns_s, columns_s), across(rows_s, columns_s)
        )
    return KernelDistance(
        mean=float(found.mean()), std=float(found.std(correction=0)), subset_size=size
    )


def thousandths(distance: KernelDistance) -> str:
    """Mean and deviation times 1,000, as papers have them."""
    return f"{1000 * distance.mean:.3f} ± {1000 * distance.std:.3f}"


def describe_kernel(samples: int) -> str:
    """The protocol of the distance between two sets, of which the smaller has ``samples``."""
    return (
        f"unbiased MMD^2, kernel (x y / F + 1)^3, mean and deviation of {SUBSETS} subsets of "
        f"{min(SUBSET_SIZE, samples)} of either (seed 0)"
    )


def mmd2(within_a_ss: Tensor, within_b_ss: Tensor, across_ss: Tensor) -> Tensor:
    """The unbiased estimate from the kernels of two sets of s samples (Gretton et al. 2012, eq. 3).

    The mean over pairs of different samples within each set, less twice the mean across.
    """
    pairs = len(within_a_ss) * (len(within_a_ss) - 1)
    within = sum(kernel.sum() - kernel.trace() for kernel in (within_a_ss, within_b_ss))
    return within / pairs - 2 * across_ss.mean()


def _kernel(x_nF: Tensor, y_mF: Tensor) -> Block:
    """The cubic polynomial kernel between rows of ``x`` and of ``y``, in float64."""

    def of(x: Tensor, y: Tensor) -> Tensor:
        return (x.double() @ y.double().T / x.shape[1] + 1) ** 3

    if max(len(x_nF), len(y_mF)) > WHOLE:
        return lambda rows, columns: of(x_nF[rows], y_mF[columns])
    whole_nm = of(x_nF, y_mF)
    return lambda rows, columns: whole_nm[rows][:, columns]
