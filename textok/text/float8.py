"""Features in one byte a number: float8 and a scale a token."""

from __future__ import annotations

import torch
from torch import Tensor

FLOAT8 = torch.float8_e4m3fn

_LARGEST = torch.finfo(FLOAT8).max
_SMALLEST_SCALE = 1e-30


def to_float8(states_TD: Tensor) -> tuple[Tensor, Tensor]:
    """Float8 states (T, D) and their float32 scales (T,): a token's largest number becomes 448.

    With 3 bits of mantissa no number is off by more than 1/16 of itself, down to 1/28,672 of the
    token's largest one.
    """
    states_TD = states_TD.float()
    scales_T = (states_TD.abs().amax(dim=1) / _LARGEST).clamp(min=_SMALLEST_SCALE)
    return (states_TD / scales_T[:, None]).to(FLOAT8), scales_T


def from_float8(states_TD: Tensor, scales_T: Tensor) -> Tensor:
    """Float32 states (T, D)."""
    return states_TD.float() * scales_T[:, None]
