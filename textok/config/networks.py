"""Pretrained networks: those that judge pictures, and those that a tokenizer is trained against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

FeatureNetworkName = Literal["efficientnet_lite0", "vgg16", "alexnet", "inception"]
"""Networks whose features a Frechet distance can be measured in."""
UNKNOWN = "unknown"
"""In place of the losses of a tokenizer whose folder does not name them."""
_BACKBONES = {"lpips_vgg": "vgg16", "lpips_alex": "alexnet"}


def backbones(losses: Iterable[str]) -> set[str]:
    """The networks of perceptual losses, which are mostly called as these are."""
    return {_BACKBONES.get(loss, loss) for loss in losses}
