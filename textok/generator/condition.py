"""The condition of a generator, as a vector and as states to attend to.

Legend: B batch, T text tokens, D width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import einsum, repeat
from torch import Tensor, nn

from textok.config.check import require
from textok.config.generator import TokenGeneratorConfig
from textok.nn.dropout import Dropout
from textok.nn.positions import small_normal
from textok.nn.text import TextProjection
from textok.nn.time import EmbeddingMLP
from textok.runtime.recorder import being_recorded
from textok.types import Condition, TextFeatures


def may_read_values(network: nn.Module, given: Tensor) -> bool:
    """Whether ``network`` may check the values of ``given``.

    A compiled or recorded graph cannot branch on them, and a training step would wait for the GPU:
    there the caller answers for them.
    """
    if torch.compiler.is_compiling() or being_recorded():
        return False
    return not (network.training and given.is_cuda)


class LabelEmbedder(nn.Module):
    """A vector for each class, and one for the null class."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.table = nn.Embedding(classes + 1, width)
        nn.init.normal_(self.table.weight, std=0.02)

    def init_weights(self) -> None:
        """Nothing: the table keeps its normal 0.02."""

    def check(self, labels_B: Tensor) -> None:
        """Raise ValueError for labels outside [-1, classes)."""
        low, high = int(labels_B.min()), int(labels_B.max())
        require(
            low >= -1 and high < self.classes,
            f"labels go from {low} to {high}, this generator has classes 0 to {self.classes - 1}, "
            "and -1 for none",
        )

    def forward(self, condition: Condition) -> tuple[Tensor, None]:
        """Vectors (B, D). Raises ValueError for a text and for labels outside [-1, classes)."""
        labels_B = condition.labels
        if labels_B is None:
            raise ValueError("the condition is a text, this generator was built for classes")
        if may_read_values(self, labels_B):
            self.check(labels_B)
        return self.table(torch.where(labels_B < 0, self.classes, labels_B)), None


class TextEmbedder(nn.Module):
    """Projected text states behind a learned one that stands for no text, and their mean.

    The learned state comes first among the keys of every row: a row without text attends to it
    alone, and softmax over no key at all never happens.
    """

    def __init__(
        self, text_width: int, text_tokens: int, width: int, *, pooled: bool, dropout: float
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.projection = TextProjection(text_width, text_tokens, width)
        self.null = nn.Parameter(small_normal(width))
        self.pooled = PooledText(text_width, width) if pooled else None

    def init_weights(self) -> None:
        """The pooled text's MLP as it is by itself."""
        if self.pooled is not None:
            self.pooled.mlp.init_weights()

    def forward(self, condition: Condition) -> tuple[Tensor | None, TextFeatures]:
        """Vectors (B, D) or None, and states (B, 1 + T, D). Raises ValueError for labels."""
        text = condition.text
        if text is None:
            raise ValueError("the condition is a class, this generator was built for text")
        require(
            text.states.shape[-1] == self.projection.linear.in_features,
            f"text states are {text.states.shape[-1]} wide, this generator was built for "
            f"{self.projection.linear.in_features}: use the text encoder that it was trained with",
        )
        text = replace(text, states=self.dropout(text.states))
        states_BTD = self.projection(text)
        null = repeat(self.null.to(states_BTD.dtype), "D -> B 1 D", B=states_BTD.shape[0])
        read = replace(
            text,
            states=torch.cat([null, states_BTD], dim=1),
            mask=F.pad(text.mask, (1, 0), value=True),
        )
        return None if self.pooled is None else self.pooled(text), read


class PooledText(nn.Module):
    """An MLP of the mean text state; a learned vector where there is no text."""

    def __init__(self, text_width: int, width: int) -> None:
        super().__init__()
        self.mlp = EmbeddingMLP(text_width, width)
        self.null = nn.Parameter(small_normal(width))

    def forward(self, text: TextFeatures) -> Tensor:
        """(B, T, D_text) to (B, D), padding left out."""
        count_B1 = text.mask.sum(dim=1, keepdim=True)
        total = einsum(text.states.float(), text.mask.float(), "B T D, B T -> B D")
        mean_BD = total / count_B1.clamp(min=1)
        return torch.where(count_B1 > 0, self.mlp(mean_BD), self.null)


def condition_embedder(
    config: TokenGeneratorConfig, width: int, *, pooled: bool
) -> LabelEmbedder | TextEmbedder:
    """The module that reads what ``config.condition`` names; ``pooled``: a text as a vector too."""
    if config.condition == "class":
        return LabelEmbedder(config.classes, width)
    return TextEmbedder(
        config.text_width, config.text_tokens, width, pooled=pooled, dropout=config.dropout
    )
