"""Forward and backward passes of a tokenizer, of one process and of several that train together."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from textok.config import TokenizerConfig
from textok.tokenizer import Tokenizer
from textok.types import TextFeatures

ENOUGH = 1.0
"""Seconds of a point, after which its call is not repeated."""


def clock(call: Callable[[], object], repeats: int) -> float:
    """CPU seconds of the fastest call, after one that warms up."""
    call()
    seconds: list[float] = []
    while len(seconds) < repeats and sum(seconds) < ENOUGH:
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def passes(
    config: TokenizerConfig, batch: int, wrap: Callable[[nn.Module], nn.Module] = lambda one: one
) -> Callable[[], None]:
    """Forward and backward of a new tokenizer with random weights, images and text."""
    tokenizer = wrap(Tokenizer(config))
    images = torch.rand(batch, 3, config.image_size, config.image_size) * 2 - 1
    shape = (batch, config.text_tokens)
    mask = torch.ones(shape, dtype=torch.bool)
    text = TextFeatures(states=torch.randn(*shape, config.text_width), mask=mask)

    def call() -> None:
        tokenizer(images, text).images.sum().backward()
        tokenizer.zero_grad()

    return call


def seconds_together(config: TokenizerConfig, batch: int, processes: int, repeats: int) -> float:
    """Seconds by the wall clock of one step of ``processes``, ``batch`` images and a core each.

    Their gradients are averaged, as in training; the slowest process counts.
    """
    with TemporaryDirectory() as folder:
        arguments = (Path(folder), config, batch, processes, repeats)
        mp.spawn(_train, args=arguments, nprocs=processes)  # type: ignore[attr-defined, no-untyped-call]
        times = [json.loads(path.read_text()) for path in Path(folder).glob("*.json")]
    return max(times)


def _train(
    rank: int, folder: Path, config: TokenizerConfig, batch: int, processes: int, repeats: int
) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=processes)
    # The same few weights have no gradient at each step: those of the bottleneck's spread.
    call = passes(config, batch, partial(DistributedDataParallel, static_graph=True))
    call()
    seconds = []
    for _ in range(repeats):
        dist.barrier()
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    (folder / f"{rank}.json").write_text(json.dumps(min(seconds)))
    dist.destroy_process_group()
