"""The nearest of many images in features, by cosine distance.

Legend: m queries, n points, F features, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest points of each query, nearest first."""

    distances: Tensor
    """(m, k) cosine distances 1 - cos, in [0, 2]."""
    rows: Tensor
    """(m, k) int64, where the neighbours are among the points."""


def nearest(queries_mF: Tensor, points_nF: Tensor, *, k: int) -> Neighbours:
    """The ``k`` points nearest to each query, all of them where there are fewer."""
    points = F.normalize(points_nF.float(), dim=1)
    found = [
        (F.normalize(block.float(), dim=1) @ points.T).topk(min(k, len(points)), dim=1)
        for block in queries_mF.split(BLOCK)
    ]
    return Neighbours(
        # Rounding can leave a copy a hair nearer than zero.
        distances=(1 - torch.cat([part.values for part in found])).clamp(min=0),
        rows=torch.cat([part.indices for part in found]),
    )
