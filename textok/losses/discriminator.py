"""Discriminators: images (B,3,H,W) in [-1, 1] -> logits, high for real."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from textok.config import GanConfig
from textok.config.check import require

PATCHGAN_SMALLEST = 8
"""Pixels a side, which are halved three times."""


class Blur(nn.Module):
    """Separable low-pass filter over each channel, against aliasing where a stride follows."""

    kernel: Tensor

    def __init__(self, taps: tuple[int, ...], *, stride: int = 1) -> None:
        super().__init__()
        line = torch.tensor(taps, dtype=torch.float32)
        self.register_buffer("kernel", torch.outer(line, line) / line.sum() ** 2, persistent=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H/stride,W/stride)."""
        channels = x.shape[1]
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        kernel = self.kernel.expand(channels, 1, -1, -1)
        return F.conv2d(x, kernel, stride=self.stride, groups=channels)


class ResidualDown(nn.Module):
    """StyleGAN2's residual block: halves the resolution (arXiv 1912.04958, figure 7)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, padding=1),
            nn.LeakyReLU(0.2),
            Blur((1, 2, 1)),
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.skip = nn.Sequential(
            Blur((1, 2, 1), stride=2), nn.Conv2d(in_channels, out_channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B,in_channels,H,W) -> (B,out_channels,H/2,W/2)."""
        out: Tensor = (self.body(x) + self.skip(x)) * math.sqrt(0.5)
        return out


class StyleGANDiscriminator(nn.Module):
    """StyleGAN2's discriminator without minibatch statistics; 24.0 M parameters at 256 px.

    `channel_max` channels up to 32 px, halved with each doubling above: 512, 256 at 64 px, 128 at
    128 px, 64 at 256 px. Plain weights with He initialisation: the equalised learning rate belongs
    to StyleGAN's own rates, 20 times ours.

    Raises ValueError unless `image_size` is a power of two of at least 16.
    """

    def __init__(self, *, image_size: int, channel_max: int = 512) -> None:
        super().__init__()
        if image_size < 16 or image_size & (image_size - 1):
            raise ValueError(
                f"the stylegan discriminator needs a power of two from 16 up as image size, "
                f"not {image_size}; choose patchgan"
            )
        sizes = [image_size >> halvings for halvings in range(int(math.log2(image_size)) - 1)]
        widths = [max(1, min(channel_max, 32 * channel_max // size)) for size in sizes]
        self.from_rgb = nn.Sequential(nn.Conv2d(3, widths[0], 1), nn.LeakyReLU(0.2))
        self.blocks = nn.Sequential(*(ResidualDown(wide, deep) for wide, deep in pairwise(widths)))
        self.final = nn.Sequential(
            nn.Conv2d(channel_max, channel_max, 3, padding=1), nn.LeakyReLU(0.2)
        )
        self.head = nn.Sequential(
            nn.Linear(channel_max * 4 * 4, channel_max),
            nn.LeakyReLU(0.2),
            nn.Linear(channel_max, 1),
        )
        self.apply(_init_he)

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> logits (B,)."""
        x_BC44 = self.final(self.blocks(self.from_rgb(images)))
        logits: Tensor = self.head(rearrange(x_BC44, "b c h w -> b (c h w)"))
        return rearrange(logits, "b 1 -> b")


class PatchGANDiscriminator(nn.Module):
    """TiTok's discriminator: one logit per patch, on at most a 16 x 16 grid.

    A 5x5 stem, then `layers` stages of 3x3 convolution, blurred halving, group norm and leaky ReLU
    whose widths double up to `channel_max`; maxima over the grid's cells; one logit a cell.
    """

    def __init__(self, *, channel_max: int = 512, layers: int = 3) -> None:
        super().__init__()
        widths = [max(1, channel_max >> halvings) for halvings in reversed(range(layers))]
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 5, padding=2), nn.LeakyReLU(0.1))
        self.stages = nn.Sequential()
        for wide, deep in pairwise([widths[0], *widths]):
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(wide, deep, 3, padding=1),
                    Blur((1, 3, 3, 1), stride=2),
                    nn.GroupNorm(math.gcd(32, deep), deep),
                    nn.LeakyReLU(0.1),
                )
            )
        self.head = nn.Sequential(
            nn.Conv2d(channel_max, channel_max, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(channel_max, 1, 5, padding=2),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> logits (B,1,h,w), h = min(16, H / 2^layers)."""
        x = self.stages(self.stem(images))
        grid = (min(16, x.shape[-2]), min(16, x.shape[-1]))
        logits: Tensor = self.head(F.adaptive_max_pool2d(x, grid))
        return logits


def build_discriminator(gan: GanConfig, *, image_size: int) -> nn.Module | None:
    """A new discriminator of the settings' kind; None where the GAN loss has no weight.

    Raises ValueError where that kind does not take images of ``image_size``.
    """
    if gan.weight == 0:
        return None
    if gan.discriminator == "patchgan":
        require(
            image_size >= PATCHGAN_SMALLEST,
            f"the patchgan discriminator takes images of {PATCHGAN_SMALLEST} px or more, not "
            f"{image_size}: set loss.gan.weight to 0",
        )
        return PatchGANDiscriminator(channel_max=gan.base)
    return StyleGANDiscriminator(image_size=image_size, channel_max=gan.base)


def _init_he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=0.2)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
