"""Text states on their way into a transformer. Legend: B batch, T text tokens, D width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from textok.types import TextFeatures


class TextProjection(nn.Module):
    """Text states to a transformer's width, with positions of their own (TexTok section 3.2)."""

    def __init__(self, text_width: int, text_tokens: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(text_width, width)
        self.positions = nn.Parameter(torch.zeros(text_tokens, width))

    def forward(self, text: TextFeatures) -> Tensor:
        """(B, T, D_text) to (B, T, D). Raises ValueError if T is beyond the trained positions."""
        length = text.states.shape[1]
        if length > self.positions.shape[0]:
            raise ValueError(
                f"text has {length} tokens a caption, the model was built for at most "
                f"{self.positions.shape[0]}: lower text.max_tokens"
            )
        return self.linear(text.states.to(self.linear.weight.dtype)) + self.positions[:length]
