"""Several processes that go through one data set together."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")

PATIENCE = timedelta(days=1)
"""How long a process waits for the others, whose shares may take longer."""


def join_processes() -> tuple[int, int]:
    """(rank, world size), joining the group that ``torchrun`` or ``accelerate launch`` set up.

    A group that exists is used as it is; without either there is one process.
    """
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return 0, 1
        # Shared-out weights lie on GPUs, which gloo cannot gather from.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
    return dist.get_rank(), dist.get_world_size()


def own_device(device: torch.device | str) -> torch.device:
    """``device``, a bare ``cuda`` becoming the GPU of this process."""
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


def gather(value: T) -> list[T]:
    """The values of all processes in the order of their ranks, on every process."""
    if not dist.is_initialized():
        return [value]
    values: list[T | None] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return [part for part in values if part is not None]
