"""Distances between two sets of features, a block of rows at a time.

Legend: m queries, n points they are compared with, F features, b rows of a block.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

BLOCK = 1024


def squared_distances(queries_mF: Tensor, points_nF: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """(rows, squared Euclidean distances (b, n)) of one block of queries after another.

    In float64, so that |x|^2 + |y|^2 - 2 x y does not drown small distances in large sums.
    """
    points = points_nF.double()
    norms_n = points.square().sum(dim=1)
    for start in range(0, len(queries_mF), BLOCK):
        rows = slice(start, min(start + BLOCK, len(queries_mF)))
        queries = queries_mF[rows].double()
        norms_b1 = queries.square().sum(dim=1, keepdim=True)
        yield rows, (norms_b1 + norms_n - 2 * queries @ points.T).clamp(min=0)
