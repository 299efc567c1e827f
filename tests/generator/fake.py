"""A network that answers at once and remembers what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from textok.config.generator import GeneratorConfig
from textok.types import Condition


@dataclass
class Asked:
    rows: list[int] = field(default_factory=list)
    """Rows of each call of ``step``."""
    indices: list[int] = field(default_factory=list)
    prepared: list[int] = field(default_factory=list)
    """Rows of each call of ``prepare``."""


class FakeNetwork(nn.Module):
    """A smooth function of x, the time and the label; a row's does not depend on the others."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(
            torch.randn(
                config.channels,
                config.channels * config.objective.outputs,
                generator=torch.Generator().manual_seed(5),
            )
        )
        self.asked = Asked()

    def prepare(self, condition: Condition, times_S: Tensor) -> tuple[Tensor, Tensor]:
        assert condition.labels is not None and times_S.dtype == torch.float32
        self.asked.prepared.append(len(condition))
        return condition.labels, times_S

    def step(self, x_BKC: Tensor, index: int, prepared: tuple[Tensor, Tensor]) -> Tensor:
        labels_B, times_S = prepared
        assert len(labels_B) == len(x_BKC) and x_BKC.dtype == torch.float32
        self.asked.rows.append(len(x_BKC))
        self.asked.indices.append(index)
        return torch.tanh(x_BKC @ self.weight + times_S[index] + labels_B[:, None, None])
