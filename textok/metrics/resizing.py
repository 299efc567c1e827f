"""How images get the size of a network that judges them: the choice moves an Inception FID."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional

from textok.config.networks import Resizing

DESCRIPTIONS: dict[Resizing, str] = {
    "tensorflow": "bilinear, not antialiased, TensorFlow 1 style",
    "clean": "bicubic, antialiased, clean-fid style",
}
"""For the protocol of a report."""


def resize(pixels_B3HW: Tensor, size: int, how: Resizing) -> Tensor:
    """Pixels in [0, 255] resized to (B, 3, ``size``, ``size``) float32, not rounded.

    Raises ValueError for another ``how``.
    """
    match how:
        case "tensorflow":
            return bilinear_tensorflow(pixels_B3HW.float(), size)
        case "clean":
            return bicubic_antialiased(pixels_B3HW.float(), size)
    raise ValueError(f"resizing '{how}' is unknown: use {' or '.join(get_args(Resizing))}")


def bilinear_tensorflow(pixels_B3HW: Tensor, size: int) -> Tensor:
    """ResizeBilinear of TensorFlow 1: pixel i of the result lies at i x (old / new) of the image.

    The first pixels coincide, not the centres, and each pixel is mixed of four, however much
    smaller the result is.
    """
    low_y, high_y, weight_y = _neighbours(pixels_B3HW, pixels_B3HW.shape[-2], size)
    low_x, high_x, weight_x = _neighbours(pixels_B3HW, pixels_B3HW.shape[-1], size)

    def row(places: Tensor) -> Tensor:
        of_row = pixels_B3HW[..., places, :]
        left, right = of_row[..., low_x], of_row[..., high_x]
        return left + (right - left) * weight_x

    top, bottom = row(low_y), row(high_y)
    return top + (bottom - top) * weight_y[:, None]


def _neighbours(like: Tensor, old: int, new: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each pixel of the result (new,): the one before it, the one after, the latter's weight."""
    places = torch.arange(new, device=like.device, dtype=torch.float32) * (old / new)
    low = places.long()
    return low, (low + 1).clamp(max=old - 1), places - low


def bicubic_antialiased(pixels_B3HW: Tensor, size: int) -> Tensor:
    """What Pillow's bicubic filter gives of floating-point channels, clipped to [0, 255]."""
    if pixels_B3HW.shape[-2:] == (size, size):
        return pixels_B3HW
    resized = functional.interpolate(pixels_B3HW, (size, size), mode="bicubic", antialias=True)
    return resized.clamp(0, 255)
