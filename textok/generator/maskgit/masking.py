"""How much of an image is hidden, and which of its tokens. Legend: B batch, K tokens."""

from __future__ import annotations

from math import pi

from torch import Tensor


def mask_ratio(uniform_B: Tensor) -> Tensor:
    """Shares (B,) of the tokens to hide in training, out of uniform numbers in [0, 1).

    arccos(u) / (pi / 2): more often most of an image than little of it (MaskGIT, arXiv 2202.04200,
    section 3.3, with the arccos of MUSE, arXiv 2301.00704, section 2.6).
    """
    return (uniform_B.acos() / (pi / 2)).clamp(1e-6, 1)


def draw_mask(ratio_B: Tensor, noise_BK: Tensor) -> Tensor:
    """(B, K) bool, True where a token is hidden: those with the least noise.

    There are round(K * ratio) of them, at least one.
    """
    count_B1 = (noise_BK.shape[1] * ratio_B).round().clamp(min=1)[:, None]
    rank_BK = noise_BK.argsort(dim=1).argsort(dim=1)
    return rank_BK < count_B1
