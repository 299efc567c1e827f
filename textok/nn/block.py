"""A pre-norm transformer block with a key mask.

Legend: B batch, S sequence, D width, H heads, E head width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from textok.nn import fused
from textok.nn.linear import Linear

FEW_KEYS = 256
"""Most keys that are trained on in bf16 on a CPU: 1.3 to 1.7 times as fast as torch's in fp32."""


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
        q, k = self._normed(q, k, x_BSD)
        out_BHSE = attend(q, k, v, mask)
        return self.out(rearrange(out_BHSE, "B H S E -> B S (H E)"))

    def _normed(self, q_BHSE: Tensor, k_BHSE: Tensor, x_BSD: Tensor) -> tuple[Tensor, Tensor]:
        q, k = self.q_norm, self.k_norm
        by_kernel = self.fused and fused.usable(x_BSD)
        if by_kernel and isinstance(q, HeadNorm) and isinstance(k, HeadNorm):
            return fused.norm_heads(q_BHSE, k_BHSE, q.weight, k.weight, eps=1e-6)
        return q(q_BHSE), k(k_BHSE)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention over (B, H, S, E)."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    if v.dtype == torch.bfloat16 and torch.is_grad_enabled() and k.shape[-2] <= FEW_KEYS:
        return _attend_by_products(q, k, v, mask)
    # torch's CPU backward in bf16 takes twice the time of the one in fp32.
    with torch.autocast("cpu", enabled=False):
        out = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask)
    return out.to(v.dtype)


def _attend_by_products(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """The same as two matrix products, whose (B, H, S, S) are held for the backward pass."""
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1) @ v


def mlp(width: int, *, exact_gelu: bool = False) -> nn.Sequential:
    """The feed-forward layers of a block, four times as wide inside."""
    gelu = nn.GELU(approximate="none" if exact_gelu else "tanh")
    return nn.Sequential(Linear(width, 4 * width), gelu, Linear(4 * width, width))


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
        self.mlp = mlp(width, exact_gelu=exact_gelu)

    def forward(
        self, x_BSD: Tensor, keys_BS: Tensor | None = None, read: slice | None = None
    ) -> Tensor:
        """(B, S, D) to (B, S, D), or to the positions ``read`` of it."""
        attended = self.attention(self.norm1(x_BSD), keys_BS, read)
        x_BSD = (x_BSD if read is None else x_BSD[:, read]) + attended
        return x_BSD + self.mlp(self.norm2(x_BSD))
