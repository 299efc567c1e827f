"""The convolutions of a VQGAN, as MaskGIT has them (Esser et al. 2021, arXiv 2012.09841; Chang et
al. 2022, arXiv 2202.04200): no attention, average pooling down, nearest neighbours up."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textok.config import VQGANConfig
from textok.config.check import require

GROUPS = 32
ENOUGH = 64**2
"""Fewest pixels, of all images, that are worth a transposed convolution."""
Shortcut = Literal["output", "input"]


class UpConv(nn.Conv2d):
    """A 3 x 3 convolution of its input enlarged twice by nearest neighbours.

    Where no gradient is needed on a CPU, one transposed convolution of the small input gives the
    same with 4 / 9 of the products: taps that meet the same number are added up beforehand.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if not self._quicker(x):
            return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        # (O, I, 3, 3) to (I, O, 4, 4): each tap falls on the 2 x 2 pixels that were one.
        taps = F.pad(self.weight.float().transpose(0, 1).flip(2, 3), (1, 1, 1, 1))
        taps = 4 * F.avg_pool2d(taps, 2, stride=1)
        return F.conv_transpose2d(x, taps.to(x.dtype), self.bias, stride=2, padding=1)

    def _quicker(self, x: Tensor) -> bool:
        """Whether it is the quicker way; for few pixels reordering the taps takes longer."""
        return (
            x.device.type == "cpu"
            and x.shape[0] * x.shape[2] * x.shape[3] >= ENOUGH
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
        )


class ResBlock(nn.Module):
    """x + h, and where the channels change the ``shortcut`` of x or of h, + h."""

    def __init__(self, inputs: int, outputs: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.of_input = shortcut == "input"
        self.norm1 = group_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm2 = group_norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = None
        if inputs != outputs:
            # MaskGIT's weights were trained with one of the block's own output.
            taken = inputs if self.of_input else outputs
            self.shortcut = nn.Conv2d(taken, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(normed_silu(x, self.norm1))
        h = self.conv2(normed_silu(h, self.norm2))
        x = x if self.shortcut is None else self.shortcut(x if self.of_input else h)
        return h + x if torch.is_grad_enabled() else h.add_(x)


class Encoder(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to (B, codebook channels, h, w)."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = channels(config)
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.stages = nn.ModuleList(
            stage(before, after, config) for before, after in pairwise([widths[0], *widths])
        )
        self.middle = stage(widths[-1], widths[-1], config)
        self.norm = group_norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.codebook_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for index, blocks in enumerate(self.stages):
            x = blocks(x if index == 0 else F.avg_pool2d(x, 2))
        return self.conv_out(normed_silu(self.middle(x), self.norm))


class Decoder(nn.Module):
    """(B, codebook channels, h, w) to images (B, 3, H, W) of nominal range [0, 1]."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = channels(config)[::-1]
        self.conv_in = nn.Conv2d(config.codebook_channels, widths[0], 3, padding=1)
        self.middle = stage(widths[0], widths[0], config)
        self.stages = nn.ModuleList(
            stage(before, after, config) for before, after in pairwise([widths[0], *widths])
        )
        self.up = nn.ModuleList(UpConv(width) for width in widths[:-1])
        self.norm = group_norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.middle(self.conv_in(x))
        for index, blocks in enumerate(self.stages):
            if index:
                x = self.up[index - 1](x)
            x = blocks(x)
        return self.conv_out(normed_silu(x, self.norm))


def channels(config: VQGANConfig) -> list[int]:
    """Of each resolution, from the finest. Raises ValueError where groups do not divide them."""
    widths = [config.width * multiplier for multiplier in config.multipliers]
    for width in widths:
        require(
            width % groups_of(width) == 0 and width >= 4,
            f"vqgan.width x vqgan.multipliers gives {width} channels: use a multiple of 4, and "
            f"from 128 on one of {GROUPS}",
        )
    return widths


def stage(inputs: int, outputs: int, config: VQGANConfig) -> nn.Sequential:
    """Residual blocks of one resolution, of which the first changes the channels."""
    return nn.Sequential(
        *(
            ResBlock(inputs if index == 0 else outputs, outputs, config.shortcut)
            for index in range(config.res_blocks)
        )
    )


def normed_silu(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """silu(norm(x)), in the norm's memory where no gradient needs it: a fifth of the time."""
    return F.silu(norm(x), inplace=not torch.is_grad_enabled())


def group_norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups_of(width), width, eps=1e-6)


def groups_of(width: int) -> int:
    """MaskGIT's 32, or fewer so that a group has four channels."""
    return max(1, min(GROUPS, width // 4))
