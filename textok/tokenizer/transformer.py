"""The trunk that encoder and decoder share: blocks over [patches ; latents ; text].

Legend: B batch, N patches, K latent tokens, T text tokens, S = N + K + T, D width.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from textok.config import ViTConfig
from textok.nn.block import Block
from textok.nn.positions import small_normal


class Trunk(nn.Module):
    """Blocks and a last norm over patches, latents and (where there is a caption) text.

    TiTok's has a class token in front, which nothing reads, and a norm before the blocks (arXiv
    2406.07550 and its code).
    """

    def __init__(
        self, config: ViTConfig, *, layout: Literal["textok", "titok"], qk_norm: bool
    ) -> None:
        super().__init__()
        titok = layout == "titok"
        eps = 1e-5 if titok else 1e-6
        self.cls = nn.Parameter(small_normal(1, config.width)) if titok else None
        self.norm_in = nn.LayerNorm(config.width, eps=eps) if titok else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, qk_norm=qk_norm, norm_eps=eps, exact_gelu=titok)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=eps)
        self.grad_checkpointing = False

    def forward(self, x_BSD: Tensor, keys_BS: Tensor | None, *, read: slice) -> Tensor:
        """(B, S, D) to the positions ``read`` of it, a slice with both ends.

        Positions where ``keys_BS`` is False are attended to by none. The last block makes nothing
        else than what is read.
        """
        return self.with_hidden(x_BSD, keys_BS, read=read)[0]

    def with_hidden(
        self, x_BSD: Tensor, keys_BS: Tensor | None, hidden_after: int = 0, *, read: slice
    ) -> tuple[Tensor, Tensor | None]:
        """What ``forward`` gives, and the states (B, S, D) after that block, counted from 1."""
        if self.cls is not None:
            x_BSD = torch.cat([self.cls.expand(x_BSD.shape[0], -1, -1), x_BSD], dim=1)
            keys_BS = None if keys_BS is None else F.pad(keys_BS, (1, 0), value=True)
        x_BSD, hidden_BSD, first = self.norm_in(x_BSD), None, 0 if self.cls is None else 1
        read = slice(read.start + first, read.stop + first)
        depth, recompute = len(self.blocks), self.grad_checkpointing and torch.is_grad_enabled()
        made: slice | None = None
        for number, block in enumerate(self.blocks, start=1):
            made = read if number == depth and hidden_after < depth else None
            if recompute:
                x_BSD = checkpoint(block, x_BSD, keys_BS, made, use_reentrant=False)
            else:
                x_BSD = block(x_BSD, keys_BS, made)
            if number == hidden_after:
                hidden_BSD = x_BSD[:, first:]
        return self.norm(x_BSD if made else x_BSD[:, read]), hidden_BSD


def join(
    patches_BND: Tensor,
    latents_BKD: Tensor,
    text_BTD: Tensor | None,
    *,
    latent_keys_BK: Tensor | None = None,
    text_keys_BT: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """One sequence (B, S, D) and the mask of what may be attended to, None where that is all."""
    parts = [patches_BND, latents_BKD]
    if text_BTD is not None:
        parts.append(text_BTD)
    sequence = torch.cat(parts, dim=1)
    if latent_keys_BK is None and text_keys_BT is None:
        return sequence, None
    batch, patches = patches_BND.shape[:2]
    keys = [torch.ones(batch, patches, dtype=torch.bool, device=sequence.device)]
    if latent_keys_BK is None:
        latent_keys_BK = keys[0].new_ones(latents_BKD.shape[:2])
    keys.append(latent_keys_BK)
    if text_BTD is not None:
        if text_keys_BT is None:
            text_keys_BT = keys[0].new_ones(text_BTD.shape[:2])
        keys.append(text_keys_BT)
    return sequence, torch.cat(keys, dim=1)
