"""How a time, or a number that follows from one, meets tokens."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor


def over_tokens(t: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1), one for each image of (B, K, C); a single one, (), stays as it is.

    A single number may stay on the CPU, in float64, beside tokens on any device: torch takes it
    for a plain number, and does not wait for the device.
    """
    return t if t.ndim == 0 else rearrange(t, "B -> B 1 1")
