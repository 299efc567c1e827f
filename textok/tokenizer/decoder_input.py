"""What a decoder makes images of, what is random in training one that samples, what it gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from textok.types import TextFeatures


@dataclass(frozen=True, kw_only=True)
class DecoderInput:
    """Latent tokens and caption, as a decoder takes them."""

    tokens: Tensor
    """(B, K, C), of which ``keep`` are visible."""
    text: TextFeatures | None
    keep: Tensor | None = None
    """(B,) int64 tokens that are visible; None shows all."""

    def without_text(self) -> DecoderInput:
        text = None if self.text is None else self.text.drop(torch.ones_like(self.text.mask[:, 0]))
        return DecoderInput(tokens=self.tokens, text=text, keep=self.keep)

    def without_tokens(self) -> DecoderInput:
        keep = torch.zeros(len(self.tokens), dtype=torch.int64, device=self.tokens.device)
        return DecoderInput(tokens=self.tokens, text=self.text, keep=keep)


@dataclass(frozen=True, kw_only=True)
class FlowTarget:
    """What a distilled flow decoder is to predict, and from what: in place of training images."""

    noisy: Tensor
    """(B, N, P) patches."""
    times: Tensor
    """(B,) in (0, 1], of ``noisy``."""
    images: Tensor
    """(B, 3, H, W) to be predicted."""


@dataclass(frozen=True, kw_only=True)
class FlowDraw:
    """What is random in one training pass of B images."""

    noise: Tensor
    """(B, N, P) standard normal."""
    time: Tensor
    """(B,) standard normal: what the objective turns into a time."""
    drop_text: Tensor
    """(B,) bool: the decoder does not see the caption, which the encoder may have seen."""
    target: FlowTarget | None = None
    """In distillation, where it stands in for image, noise and time."""


@dataclass(frozen=True, kw_only=True)
class DecoderPass:
    """One training pass of a decoder over B images."""

    out: Tensor
    """Images (B, 3, H, W), or logits (B, N, V) of the codes of a VQGAN."""
    velocity_error: Tensor | None = None
    """(B,) of a decoder that samples."""
    hidden: Tensor | None = None
    """(B, N, D) states of the patches after the block that was asked for."""
