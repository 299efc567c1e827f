"""Micro-batches of one optimiser step: their place, their gradients, their logs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from textok.config import RunConfig

Terms = dict[str, Tensor]
"""Scalars of one micro-batch, with their gradients."""

Logs = defaultdict[str, Tensor]
"""Scalars of one step, added up over its micro-batches."""


class Stateful(Protocol):
    """Whatever goes into a checkpoint."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...


def empty_logs(accelerator: Accelerator) -> Logs:
    return defaultdict(lambda: torch.zeros((), device=accelerator.device))


def add_terms(logs: Logs, terms: Mapping[str, Tensor], share: float) -> None:
    """Add ``share`` of each scalar, without its gradient."""
    for name, value in terms.items():
        logs[name] = logs[name] + share * value.detach()


def global_rows(run: RunConfig, accelerator: Accelerator, index: int, count: int) -> slice:
    """Where this process's micro-batch ``index`` of ``count`` lies in the step's global batch."""
    size = run.batch_size // (count * accelerator.num_processes)
    start = (index * accelerator.num_processes + accelerator.process_index) * size
    return slice(start, start + size)


def synced(
    accelerator: Accelerator, module: nn.Module, sync: bool
) -> AbstractContextManager[object]:
    """Average the gradients over the processes in this backward pass, or leave it for later."""
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(sync)
        return nullcontext()
    if sync:
        return nullcontext()
    context: AbstractContextManager[object] = accelerator.no_sync(module)
    return context
