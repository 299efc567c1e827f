"""Tests by several processes at once. Not a test module."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import torch.multiprocessing as mp

PRELOAD = ["pytest", "torch", "textok.cli.main", "textok.pipeline", "textok.evaluate"]
PRELOAD += ["textok.extract", "textok.train", "transformers.models.t5.modeling_t5"]
"""What takes seconds to import: once, by the process that all others are forked from."""


def together(work: Callable[..., None], *args: Any, processes: int) -> None:
    """``work(rank, *args)`` by so many processes. Raises what one of them raised."""
    multiprocessing.set_forkserver_preload(PRELOAD)
    mp.start_processes(work, args=args, nprocs=processes, start_method="forkserver")
