"""A pre-norm transformer block with a key mask.

Legend: B batch, S sequence, D width, H heads, E head width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from textok.nn import few_keys, fused
from textok.nn.gelu import TanhGELU
from textok.nn.linear import Linear


class HeadNorm(nn.RMSNorm):
    """RMS norm in the type of its input, which autocast would leave apart from its weight's."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.weight is not None
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


class SelfAttention(nn.Module):
    """Multi-head self-attention; masked keys have no influence on any other position."""

    fused = False
    """Norms of queries and keys by ``textok.nn.fused``, where it is usable."""

    def __init__(self, width: int, heads: int, *, qk_norm: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)
        head_width = width // heads
        self.q_norm = HeadNorm(head_width, eps=1e-6) if qk_norm else nn.Identity()
        self.k_norm = HeadNorm(head_width, eps=1e-6) if qk_norm else nn.Identity()

    def forward(
        self, x_BSD: Tensor, keys_BS: Tensor | None = None, read: slice | None = None
    ) -> Tensor:
        """Attend over the positions where ``keys_BS`` (bool) is True; over all without it.

        ``read`` are the positions whose outputs are made; None makes all.
        """
        q, k, v = rearrange(self.qkv(x_BSD), "B S (n H E) -> n B H S E", n=3, H=self.heads)
        q = q if read is None else q[:, :, read]
        mask = None if keys_BS is None else rearrange(keys_BS, "B S -> B 1 1 S")
        out_BHSE = self._attend(q, k, v, mask, x_BSD)
        return self.out(rearrange(out_BHSE, "B H S E -> B S (H E)"))

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, x_BSD: Tensor
    ) -> Tensor:
        """Attention (B, H, S, E) of queries and keys that are still to be normed."""
        q_norm, k_norm = self.q_norm, self.k_norm
        if isinstance(q_norm, HeadNorm) and isinstance(k_norm, HeadNorm):
            if few_keys.usable(q, k):
                return few_keys.attend(q, k, v, mask, (q_norm.weight, k_norm.weight), eps=1e-6)
            # One kernel takes both, which have to lie alike: not where some outputs are made alone.
            if self.fused and q.shape == k.shape and fused.usable(x_BSD):
                q, k = fused.norm_heads(q, k, q_norm.weight, k_norm.weight, eps=1e-6)
                return attend(q, k, v, mask)
        return attend(q_norm(q), k_norm(k), v, mask)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention over (B, H, S, E)."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    if few_keys.usable(q, k):
        return few_keys.attend(q, k, v, mask)
    # torch's CPU backward in bf16 takes twice the time of the one in fp32.
    with torch.autocast("cpu", enabled=False):
        out = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask)
    return out.to(v.dtype)


class MLP(nn.Sequential):
    """The feed-forward layers of a block, four times as wide inside."""

    def __init__(self, width: int, *, exact_gelu: bool = False) -> None:
        gelu = nn.GELU() if exact_gelu else TanhGELU()
        super().__init__(Linear(width, 4 * width), gelu, Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        inner, gelu, outer = self
        # Adapters stand in for the layer while they are trained.
        if isinstance(inner, Linear) and isinstance(gelu, nn.GELU) and inner.quicker(x):
            return outer(inner.with_gelu(x, gelu.approximate))
        return outer(gelu(inner(x)))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)) (ViT, Dosovitskiy et al. 2021, Eq. 2-3)."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        qk_norm: bool = False,
        norm_eps: float = 1e-6,
        exact_gelu: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=norm_eps)
        self.attention = SelfAttention(width, heads, qk_norm=qk_norm)
        self.norm2 = nn.LayerNorm(width, eps=norm_eps)
        self.mlp = MLP(width, exact_gelu=exact_gelu)

    def forward(
        self, x_BSD: Tensor, keys_BS: Tensor | None = None, read: slice | None = None
    ) -> Tensor:
        """(B, S, D) to (B, S, D), or to the positions ``read`` of it."""
        attended = self.attention(self.norm1(x_BSD), keys_BS, read)
        x_BSD = (x_BSD if read is None else x_BSD[:, read]) + attended
        return x_BSD + self.mlp(self.norm2(x_BSD))
