"""Whether a training can fit into main memory at all, before anything is built or read."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from textok.config import RunConfig
from textok.config.check import require
from textok.runtime.memory import free_bytes
from textok.runtime.untrusted import on_meta
from textok.train.distributed import Distributed

OF_ADAMW = 4
"""Numbers that training keeps of a weight: itself, its gradient, two moments."""


def check_memory(
    make: Callable[[], nn.Module],
    *,
    row: int,
    depth: int,
    run: RunConfig,
    distributed: Distributed,
) -> None:
    """Raise ValueError where the network, or a batch, needs more main memory than is free.

    ``row`` is how many numbers are read for one image, and ``depth`` how many between the blocks
    are kept of it. Both are lower bounds, so that nothing that fits is refused; a GPU tells itself
    what does not fit. ``make`` builds the network, here without memory.
    """
    free = free_bytes(torch.device("cpu"))
    if free is None:
        return
    here = distributed.device.type == "cpu"
    network = on_meta(make, "the sizes of the network are far too large")
    weights = sum(weight.numel() for weight in network.parameters())
    needed = 4 * weights * (OF_ADAMW if here else 1)
    require(
        needed <= free,
        f"the network has {weights / 1e9:,.1f} billion weights, for which {_gb(needed)} of main "
        f"memory are needed and {_gb(free)} are free: make width or depth smaller",
    )
    rows = run.batch_size // (run.accumulate * distributed.world_size)
    needed = rows * (4 * row + 2 * depth * here)
    require(
        needed <= free,
        f"run.batch_size is {run.batch_size}: {rows} images at once need {_gb(needed)} of main "
        f"memory at the least and {_gb(free)} are free: make it smaller, or raise run.accumulate",
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
