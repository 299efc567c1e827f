"""The DiT block: adaLN-Zero around attention and MLP, cross-attention to a text between them.

Legend: B batch, K latent tokens, T text tokens, D width, H heads, E head width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from textok.nn import fused
from textok.nn.block import MLP, HeadNorm, SelfAttention, attend
from textok.nn.dropout import Dropout
from textok.nn.linear import Linear
from textok.types import TextFeatures


def modulate(x_BKD: Tensor, shift_BD: Tensor, scale_BD: Tensor) -> Tensor:
    """norm(x) * (1 + scale) + shift, the norm without weights of its own (DiT, section 3.2)."""
    x_BKD = F.layer_norm(x_BKD, x_BKD.shape[-1:], eps=1e-6)
    return x_BKD * (1 + scale_BD[:, None]) + shift_BD[:, None]


@dataclass(frozen=True, kw_only=True)
class TextKeys:
    """What one block's queries meet of a text."""

    k: Tensor
    """(B, H, T, E)."""
    v: Tensor
    """(B, H, T, E)."""
    mask: Tensor | None
    """(B, T) bool, at least one True a row; None where all are."""


class CrossAttention(nn.Module):
    """Attention of the latent tokens to a text, whose keys and values can be made beforehand."""

    def __init__(self, width: int, heads: int, *, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.q = Linear(width, width)
        self.kv = Linear(width, 2 * width)
        self.out = Linear(width, width)
        head_width = width // heads
        self.q_norm = HeadNorm(head_width, eps=1e-6) if qk_norm else nn.Identity()
        self.k_norm = HeadNorm(head_width, eps=1e-6) if qk_norm else nn.Identity()

    def keys(self, text: TextFeatures) -> TextKeys:
        """Keys and values of states (B, T, D)."""
        k, v = rearrange(self.kv(text.states), "B T (n H E) -> n B H T E", n=2, H=self.heads)
        return TextKeys(k=self.k_norm(k), v=v, mask=text.attended)

    def forward(self, x_BKD: Tensor, keys: TextKeys) -> Tensor:
        q = self.q_norm(rearrange(self.q(self.norm(x_BKD)), "B K (H E) -> B H K E", H=self.heads))
        mask = None if keys.mask is None else rearrange(keys.mask, "B T -> B 1 1 T")
        out_BHKE = attend(q, keys.k, keys.v, mask)
        return self.out(rearrange(out_BHKE, "B H K E -> B K (H E)"))


class DiTBlock(nn.Module):
    """x + gate attention(modulate(x)), x + cross-attention(x, text), x + gate mlp(modulate(x)).

    Shifts, scales and gates are a linear layer of the condition vector (adaLN-Zero, DiT section
    3.2). That layer and the output of the cross-attention start at zero: the block at the identity.
    Without ``own_modulation`` the vector holds them itself, 6 D numbers.
    """

    fused = False
    """Norms and gated sums by ``textok.nn.fused``, where it is usable."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        reads_text: bool,
        qk_norm: bool,
        dropout: float,
        own_modulation: bool = True,
    ) -> None:
        super().__init__()
        self.modulation = Linear(width, 6 * width) if own_modulation else None
        self.attention = SelfAttention(width, heads, qk_norm=qk_norm)
        self.text = CrossAttention(width, heads, qk_norm=qk_norm) if reads_text else None
        self.mlp = MLP(width)
        self.dropout = Dropout(dropout)

    def init_weights(self) -> None:
        """Zero the layers that make a new block return its input."""
        for layer in (self.modulation, None if self.text is None else self.text.out):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def text_keys(self, text: TextFeatures | None) -> TextKeys | None:
        """What of the text this block attends to; None for a block that reads none."""
        return None if self.text is None or text is None else self.text.keys(text)

    def forward(
        self,
        x_BKD: Tensor,
        vector_BD: Tensor,
        text: TextFeatures | None,
        visible_BK: Tensor | None = None,
    ) -> Tensor:
        """One pass, from the condition vector and the projected text.

        Tokens where ``visible_BK`` (bool) is False are attended to by none.
        """
        modulation = vector_BD if self.modulation is None else self.modulation(vector_BD)
        return self.apply_prepared(x_BKD, modulation, self.text_keys(text), visible_BK)

    def apply_prepared(
        self,
        x_BKD: Tensor,
        modulation: Tensor,
        keys: TextKeys | None,
        visible_BK: Tensor | None = None,
    ) -> Tensor:
        """One pass, from ``modulation`` (B or 1, 6 D) and ``text_keys``."""
        if self.fused and fused.usable(x_BKD):
            return self._apply_fused(x_BKD, modulation, keys, visible_BK)
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.chunk(6, dim=-1)
        attended = self.attention(modulate(x_BKD, shift1, scale1), visible_BK)
        x_BKD = x_BKD + gate1[:, None] * self.dropout(attended)
        if self.text is not None:
            assert keys is not None
            x_BKD = x_BKD + self.dropout(self.text(x_BKD, keys))
        return x_BKD + gate2[:, None] * self.dropout(self.mlp(modulate(x_BKD, shift2, scale2)))

    def _apply_fused(
        self,
        x_BKD: Tensor,
        modulation: Tensor,
        keys: TextKeys | None,
        visible_BK: Tensor | None,
    ) -> Tensor:
        """``apply_prepared`` without gradients, where nothing is dropped."""
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.chunk(6, dim=-1)
        attended = self.attention(fused.modulate(x_BKD, shift1, scale1), visible_BK)
        if self.text is None:
            x_BKD, normed = fused.add_and_modulate(x_BKD, gate1, attended, shift2, scale2)
        else:
            assert keys is not None
            x_BKD = fused.add_gated(x_BKD, gate1, attended)
            x_BKD = x_BKD + self.text(x_BKD, keys)
            normed = fused.modulate(x_BKD, shift2, scale2)
        return fused.add_gated(x_BKD, gate2, self.mlp(normed))


class FinalLayer(nn.Module):
    """linear(modulate(x)) to the output's numbers; both layers start at zero."""

    fused = False
    """The norm by ``textok.nn.fused``, where it is usable."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.modulation = Linear(width, 2 * width)
        self.linear = nn.Linear(width, outputs)

    def init_weights(self) -> None:
        """Zero both layers."""
        for layer in (self.modulation, self.linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BKD: Tensor, modulation: Tensor) -> Tensor:
        """(B, K, D) under ``modulation`` (B or 1, 2 D) to (B, K, outputs)."""
        shift, scale = modulation.chunk(2, dim=-1)
        if self.fused and fused.usable(x_BKD):
            return self.linear(fused.modulate(x_BKD, shift, scale))
        return self.linear(modulate(x_BKD, shift, scale))
