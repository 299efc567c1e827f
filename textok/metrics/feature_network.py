"""What a frozen network looks like from outside: features to measure by, or to be aligned with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FeatureNetwork:
    """A frozen network and the name under which distances in its features are reported."""

    name: str
    """What it is called in settings, as in ``efficientnet_lite0``."""
    metric: str
    """What the distance is called in reports: only Inception's is a FID."""
    width: int
    """F, the number of features."""
    protocol: str
    """How images reach the network, for the report."""
    extract: Callable[[Tensor], Tensor]
    """Images (B, 3, H, W) in [-1, 1] to features (B, F)."""
    with_gradient: Callable[[Tensor], Tensor] | None = None
    """The same with gradients into the images, where the network passes them on."""
    logits: Callable[[Tensor], Tensor] | None = None
    """Features (B, F) to the class logits of an Inception Score, where they are Inception's."""
    feature_map: Callable[[Tensor], Tensor] | None = None
    """Images (B, 3, H, W) in [-1, 1] to features in place (B, F', h, w), where there are such."""
