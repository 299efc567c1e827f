"""Moving average of a module's weights."""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from textok.runtime.sharding import load_weights, local, shard_parameters, whole_module

Module = TypeVar("Module", bound=nn.Module)


class Ema(Generic[Module]):
    """A moving average of ``module``'s weights: average += (1 - d) (weight - average).

    d = min(decay, (1 + t) / (10 + t)) at update t, so that the initial weights soon lose their
    influence. ``module`` here is the averaged copy, in evaluation mode. Decay 0 copies the weights.
    """

    def __init__(self, module: Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    def shard(self, device: torch.device) -> None:
        """Leave each process the same part as of the ``module`` that is averaged."""
        shard_parameters(self.module, device)

    def whole(self) -> Module:
        """The averaged copy in one piece; all processes call this if it is sharded."""
        return whole_module(self.module)

    @torch.no_grad()
    def update(self, module: Module) -> None:
        """Move the average towards the weights of ``module``; buffers are copied."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        average: list[Tensor] = [local(p) for p in self.module.parameters()]
        torch._foreach_lerp_(average, [local(p) for p in module.parameters()], 1 - decay)
        for kept, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            kept.copy_(buffer)

    def state_dict(self) -> dict[str, Any]:
        return {"module": self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_weights(self.module, state["module"])
        self.updates = state["updates"]
