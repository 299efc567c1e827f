"""The processes that train together: everything that one of them asks of the others."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, gather_object
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from textok.runtime.device import best_device

T = TypeVar("T")


class Distributed:
    """One process among those of a training: a thin interface on accelerate.

    What gathers, averages or waits is called by all processes at the same time.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.device: torch.device = accelerator.device
        self.rank: int = accelerator.process_index
        self.world_size: int = accelerator.num_processes
        self.is_main: bool = accelerator.is_main_process

    def global_rows(self, batch_size: int, *, index: int, count: int) -> slice:
        """Where micro-batch ``index`` of ``count`` of this process lies in the global batch."""
        size = batch_size // (count * self.world_size)
        start = (index * self.world_size + self.rank) * size
        return slice(start, start + size)

    def parallel(self, module: nn.Module) -> nn.Module:
        """``module`` with gradients that are averaged (DDP); a sharded one does so by itself."""
        if isinstance(module, FSDPModule):
            return module
        prepared: nn.Module = self._accelerator.prepare_model(module)
        return prepared

    def gradient_sync(self, module: nn.Module, *, on: bool) -> AbstractContextManager[object]:
        """Average the gradients in this backward pass, or accumulate them on each process."""
        if isinstance(module, FSDPModule):
            module.set_requires_gradient_sync(on)
            return nullcontext()
        context: AbstractContextManager[object] = self._accelerator.no_sync(module)
        return nullcontext() if on else context

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over the processes, on each of them."""
        mean: Tensor = self._accelerator.reduce(value, reduction="mean")
        return mean

    def sum(self, value: Tensor) -> Tensor:
        """The sum over the processes, on each of them."""
        total: Tensor = self._accelerator.reduce(value, reduction="sum")
        return total

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, by rank; each process has as many."""
        gathered: Tensor = self._accelerator.gather(rows)
        return gathered

    def gather_objects(self, value: T) -> list[T]:
        """The values of all processes, by rank; they have to be picklable."""
        values: list[T] = gather_object([value])
        return values

    def main_first(self) -> AbstractContextManager[object]:
        """The main process goes through the block before the others enter it."""
        context: AbstractContextManager[object] = self._accelerator.main_process_first()
        return context

    def wait(self) -> None:
        """Wait until all processes are here."""
        self._accelerator.wait_for_everyone()

    def print(self, message: str) -> None:
        """Print a line in the main process alone."""
        self._accelerator.print(message)

    def close(self) -> None:
        """Leave the group of processes."""
        self._accelerator.end_training()


def join_distributed(*, batch_size: int, accumulate: int) -> Distributed:
    """This process, after joining the others that ``torchrun`` or ``accelerate launch`` started.

    Raises ValueError unless processes x ``accumulate`` divides ``batch_size``.
    """
    accelerator = Accelerator(
        cpu=best_device().type == "cpu",
        mixed_precision="no",
        # The first process may take long over the text features while the others wait.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=6))],
    )
    if batch_size % (accelerator.num_processes * accumulate):
        raise ValueError(
            f"run.batch_size {batch_size} is not a multiple of processes x "
            f"run.accumulate = {accelerator.num_processes} x {accumulate}"
        )
    return Distributed(accelerator)
