"""Fewer text tokens: averages of neighbouring states."""

from __future__ import annotations

import torch
from einops import einsum
from torch import Tensor


def pool_states(states_BTD: Tensor, mask_BT: Tensor, pool: int) -> tuple[Tensor, Tensor]:
    """Average the real states of each row over ``min(pool, real tokens)`` neighbouring segments.

    Real tokens come first in each row. Token j of n falls into segment ``floor(j * m / n)``,
    m = min(pool, n): sizes differ by one at most, and a row with n <= pool is left as it is.
    Returns float32 states (B, pool, D), zero where the mask (B, pool) is False.
    """
    real_B1 = mask_BT.sum(1, keepdim=True)
    segments_B1 = real_B1.clamp(max=pool)
    token_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    segment_BT = token_T * segments_B1 // real_B1.clamp(min=1)
    slot_P = torch.arange(pool, device=mask_BT.device)
    member_BPT = (segment_BT[:, None] == slot_P[:, None]) & mask_BT[:, None]
    size_BP1 = member_BPT.sum(2, keepdim=True)
    weight_BPT = member_BPT.float() / size_BP1.clamp(min=1)
    pooled_BPD = einsum(weight_BPT, states_BTD.float(), "b p t, b t d -> b p d")
    return pooled_BPD, slot_P < segments_B1
