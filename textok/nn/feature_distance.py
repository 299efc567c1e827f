"""The distance of two images' feature maps, for the perceptual loss and the metric alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from textok.nn.efficientnet_lite import EfficientNetLite0

LITE0_STAGES = (0, 1, 2, 4, 6)
"""EfficientNet-Lite0 stages compared: the last one at each resolution."""


def lite0_maps(network: EfficientNetLite0, images_B3HW: Tensor) -> list[Tensor]:
    """The compared feature maps of images in [-1, 1], at their own resolution."""
    maps = network.features(images_B3HW, count=max(LITE0_STAGES) + 1)
    return [maps[stage] for stage in LITE0_STAGES]


def feature_distance(x_maps: Sequence[Tensor], y_maps: Sequence[Tensor]) -> Tensor:
    """LPIPS (arXiv 1801.03924, eq. 1) with uniform weights, averaged over the maps.

    Each map is (B, C, h, w). The squared distance of the feature vectors, normalised to unit
    length over C, is averaged over positions. Returns (B,), in [0, 4].
    """
    gaps_B = [
        (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(dim=1).mean(dim=(1, 2))
        for x, y in zip(x_maps, y_maps, strict=True)
    ]
    return torch.stack(gaps_B).mean(dim=0)
