"""Learned positions: how they start, and how those of a square grid of patches change size.

On the meta device only their shapes are made: torch imports its compiler to calculate there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from textok.nn.time import sinusoids


def sinusoid_positions(count: int, width: int) -> Tensor:
    """Cosines and sines (count, width) of the places in a sequence (``sinusoids``)."""
    if _shapes_only():
        return torch.empty(count, width)
    return sinusoids(torch.arange(count), width)


def sincos_grid(grid: int, width: int) -> Tensor:
    """Sine-cosine positions (grid * grid, width) of a square grid, row by row.

    The quarter of the channels for each of sin/cos x row/column has wavelengths from 2 pi to
    10,000 * 2 pi (Vaswani et al. 2017, section 3.5, over two axes). Channels past a multiple of
    four are zero.
    """
    if _shapes_only():
        return torch.empty(grid * grid, width)
    quarter = width // 4
    frequencies = 10_000.0 ** (-torch.arange(quarter, dtype=torch.float64) / max(quarter, 1))
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * frequencies
    rows = angles[:, None, :].expand(grid, grid, quarter)
    columns = angles[None, :, :].expand(grid, grid, quarter)
    table = torch.cat([rows.sin(), rows.cos(), columns.sin(), columns.cos()], dim=-1)
    flat = rearrange(table, "h w D -> (h w) D").float()
    return F.pad(flat, (0, width - 4 * quarter))


def small_normal(*shape: int) -> Tensor:
    """Random vectors to start from, normal with deviation 0.02."""
    return nn.init.normal_(torch.empty(shape), std=0.02)


def resize_grid(positions_ND: Tensor, grid: int) -> Tensor:
    """Interpolate (N, D) positions of a square grid to ``grid`` patches a side (bicubic)."""
    old = round(positions_ND.shape[0] ** 0.5)
    assert old * old == positions_ND.shape[0], "positions are not those of a square grid"
    if old == grid:
        return positions_ND
    plane = rearrange(positions_ND.float(), "(h w) D -> 1 D h w", h=old)
    resized = F.interpolate(plane, size=(grid, grid), mode="bicubic", align_corners=False)
    return rearrange(resized, "1 D h w -> (h w) D").to(positions_ND.dtype)


def _shapes_only() -> bool:
    return torch.get_default_device().type == "meta"
