"""What a pipeline asks of any generator, whatever its tokens are."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from textok.config.generator import SamplingConfig, TokenGeneratorConfig
from textok.runtime.pretrained import TRAINED_WITH, write_model
from textok.runtime.recorder import Recorder
from textok.types import Condition


class TokenGenerator(nn.Module, ABC):
    """A network that makes the K tokens of an image out of a condition and a seed."""

    kind: ClassVar[str]
    """Its part of config.json."""
    config: TokenGeneratorConfig
    trained_with: tuple[str, ...] = ()
    """Pretrained networks that it was trained against by a Frechet loss."""
    grad_checkpointing = False
    recorder: Recorder | None = None
    """By way of which tokens are sampled, where the steps can be recorded."""

    @property
    def trained_against(self) -> tuple[str, ...]:
        """Pretrained networks, of all its losses."""
        return self.trained_with

    @abstractmethod
    def sample(
        self,
        condition: Condition,
        *,
        sampling: SamplingConfig,
        seeds: Sequence[int],
        negative: Condition | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Tokens of B images: numbers (B, K, C), or codes (B, K) int64.

        All chance of image i follows from ``seeds[i]`` alone: it does not depend on the batch,
        nor on the device. ``negative``, of as many rows, is what guidance leads away from, in place
        of the null condition. ``on_step`` is told the number of steps done, after each.

        Raises ValueError if the sampler does not fit the generator, or if the numbers of rows and
        seeds differ.
        """

    def set_grad_checkpointing(self, on: bool) -> None:
        """Recompute the blocks' activations in the backward pass: less memory, more time."""
        self.grad_checkpointing = on

    def save_pretrained(self, folder: str | Path, *, precision: torch.dtype | None = None) -> Path:
        """Write config.json and model.safetensors (in ``precision``), each whole or not at all."""
        parts: dict[str, object] = {self.kind: dataclasses.asdict(self.config)}
        if self.trained_with:
            parts[TRAINED_WITH] = list(self.trained_with)
        return write_model(folder, parts, self.state_dict(), precision=precision)
