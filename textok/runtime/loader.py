"""Loader processes, on machines with little shared memory too."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader

from textok.config.check import require

# How many there are is a setting (data.workers), and torch would say this at every command.
warnings.filterwarnings("ignore", message="This DataLoader will create .* worker processes")

T = TypeVar("T")

SHARED = Path("/dev/shm")
AHEAD = 2
"""Batches that each process has ready."""


def read_ahead(loader: DataLoader[T], *, batch_bytes: int) -> Iterator[T]:
    """What ``loader`` gives; ``batch_bytes`` is how much of a batch goes through shared memory.

    Raises ValueError where that has no room for the batches of all processes: it would kill them,
    or stop them without a word. Raises ValueError for a process that was killed.
    """
    if loader.num_workers:
        check_shared_memory((loader.num_workers * AHEAD + 1) * batch_bytes)
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise ValueError(
            f"a loader process was killed, for want of memory most likely ({_first(error)}): give "
            "it more, or read in the training process with data.workers 0"
        ) from error


def own_generator() -> torch.Generator:
    """For a loader, which would otherwise draw from the global generator of a training run."""
    return torch.Generator()


def check_shared_memory(wanted: int) -> None:
    """Raise ValueError where less is free, naming the cure."""
    try:
        free = shutil.disk_usage(SHARED).free
    except OSError:  # not on this system
        return
    require(
        wanted <= free,
        f"{SHARED} has {free / 2**20:.0f} MiB free, and the batches of the loader processes take "
        f"{wanted / 2**20:.0f} MiB: make it larger (docker run --shm-size 2g), or set data.workers "
        "to 0",
    )


def _first(error: Any) -> str:
    return str(error).splitlines()[0].rstrip(".")
