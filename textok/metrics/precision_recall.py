"""Precision and recall of generated images: how many are real, how much of the real is covered.

Legend: n samples, m others, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from textok.metrics.distances import squared_distances

NEIGHBOURS = 3
"""k of Kynkäänniemi et al. (2019), section 3."""


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall:
    """Shares in [0, 1]."""

    precision: float
    """Of the generated images, those inside the manifold of the real ones."""
    recall: float
    """Of the real images, those inside the manifold of the generated ones."""


def precision_recall(real_nF: Tensor, drawn_mF: Tensor, *, k: int = NEIGHBOURS) -> PrecisionRecall:
    """Precision and recall of two sets of features (Kynkäänniemi et al. 2019, arXiv 1904.06991).

    Raises ValueError for a set of no more than ``k`` samples.
    """
    return PrecisionRecall(
        precision=float(inside(drawn_mF, real_nF, k=k).double().mean()),
        recall=float(inside(real_nF, drawn_mF, k=k).double().mean()),
    )


def inside(queries_mF: Tensor, points_nF: Tensor, *, k: int) -> Tensor:
    """Which queries (m,) lie in the manifold of the points: eq. 1 of the paper.

    The manifold is the union of balls about all points, each reaching its ``k``-th neighbour.
    """
    radii_n = _radii(points_nF, k)
    found = torch.empty(len(queries_mF), dtype=torch.bool)
    for rows, distances_bn in squared_distances(queries_mF, points_nF):
        found[rows] = (distances_bn <= radii_n).any(dim=1)
    return found


def _radii(points_nF: Tensor, k: int) -> Tensor:
    """The squared distance (n,) from each point to its ``k``-th nearest other point."""
    if len(points_nF) <= k:
        raise ValueError(
            f"precision and recall with {k} neighbours need more than {k} images, "
            f"not {len(points_nF)}"
        )
    radii = torch.empty(len(points_nF), dtype=torch.float64)
    for rows, distances_bn in squared_distances(points_nF, points_nF):
        own = torch.arange(rows.start, rows.stop)
        distances_bn[own - rows.start, own] = torch.inf
        radii[rows] = distances_bn.kthvalue(k, dim=1).values
    return radii
