"""Blocks of masked generators as published: BERT's, and those of a U-ViT.

Legend: B batch, S sequence, D width, H heads, E head width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from textok.config.maskgit import MaskGITConfig
from textok.nn.adaptive_block import CrossAttention, TextKeys
from textok.nn.block import MLP, attend
from textok.types import TextFeatures


class Attention(nn.Module):
    """Multi-head self-attention that drops some of its weights in training."""

    def __init__(self, width: int, heads: int, *, qkv_bias: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.out = nn.Linear(width, width)

    def forward(self, x_BSD: Tensor) -> Tensor:
        q, k, v = rearrange(self.qkv(x_BSD), "B S (n H E) -> n B H S E", n=3, H=self.heads)
        if self.training and self.dropout:
            out_BHSE = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout)
        else:
            out_BHSE = attend(q, k, v, None)
        return self.out(rearrange(out_BHSE, "B H S E -> B S (H E)"))


class MaskGITBlock(nn.Module):
    """Attention, cross-attention to a text, MLP, each added to what it was given.

    Post-norm, norm(x + layer(x)), as BERT (arXiv 1810.04805), or pre-norm, x + layer(norm(x)),
    without biases of q, k and v, as U-ViT (arXiv 2209.12152). The text is ours: its layer starts at
    zero, and a block without one is the published block.
    """

    def __init__(self, config: MaskGITConfig, *, joins: bool = False) -> None:
        super().__init__()
        width, heads = config.network.width, config.network.heads
        self.post_norm = config.architecture == "bert"
        norm_eps = 1e-12 if self.post_norm else 1e-5
        self.skip = nn.Linear(2 * width, width) if joins else None
        self.attention = Attention(width, heads, qkv_bias=self.post_norm, dropout=config.dropout)
        self.norm1 = nn.LayerNorm(width, eps=norm_eps)
        reads_text = config.condition == "text"
        self.text = CrossAttention(width, heads, qk_norm=False) if reads_text else None
        self.mlp = MLP(width, exact_gelu=True)
        self.norm2 = nn.LayerNorm(width, eps=norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def init_weights(self) -> None:
        """Zero what makes a new block read of no text."""
        if self.text is not None:
            nn.init.zeros_(self.text.out.weight)
            nn.init.zeros_(self.text.out.bias)

    def text_keys(self, text: TextFeatures | None) -> TextKeys | None:
        """What of the text this block attends to; None for a block that reads none."""
        return None if self.text is None or text is None else self.text.keys(text)

    def forward(
        self, x_BSD: Tensor, text: TextFeatures | TextKeys | None, skip_BSD: Tensor | None
    ) -> Tensor:
        """One pass, from the projected text or the ``text_keys`` of it.

        ``skip_BSD`` is what a block that ``joins`` takes from the first half.
        """
        if self.skip is not None:
            assert skip_BSD is not None
            x_BSD = self.skip(torch.cat([x_BSD, skip_BSD], dim=-1))
        x_BSD = self._add(x_BSD, self.attention, self.norm1)
        if self.text is not None:
            keys = text if isinstance(text, TextKeys) else self.text_keys(text)
            assert keys is not None
            x_BSD = x_BSD + self.dropout(self.text(x_BSD, keys))
        return self._add(x_BSD, self.mlp, self.norm2)

    def _add(self, x_BSD: Tensor, layer: nn.Module, norm: nn.LayerNorm) -> Tensor:
        if self.post_norm:
            return norm(x_BSD + self.dropout(layer(x_BSD)))
        return x_BSD + self.dropout(layer(norm(x_BSD)))
