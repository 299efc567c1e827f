"""Which share of a tokenizer's training step each of its parts takes.

The device is waited for at both ends of a part, so the parts add up, and what would overlap does
not: the shares of a step on a GPU are those of its device time. On a CPU they are of CPU time.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from benchmarks.training_steps import TrainingStep
from textok.data.pixels import to_tensor
from textok.types import upload

PARTS = (
    "loading",
    "text",
    "forward",
    "losses of pixels",
    "perceptual",
    "discriminator",
    "backward",
    "optimiser",
    "average",
    "rest",
)


class PartTimer:
    """Seconds of each part, without those of the parts inside it."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device, self._inside = device, list[float]()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the block to ``name``."""
        self._inside.append(0)
        start = self._now()
        try:
            yield
        finally:
            whole = self._now() - start
            self.seconds[name] += whole - self._inside.pop()
            if self._inside:
                self._inside[-1] += whole

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` as the part ``name``."""

        def call(*args: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*args, **options)

        return call

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()  # others may use the CPU meanwhile


class Timed(nn.Module):
    """A module as a part; compiled or not."""

    def __init__(self, name: str, inner: nn.Module, timer: PartTimer) -> None:
        super().__init__()
        self.inner, self._call = inner, timer.timed(name, inner)

    def forward(self, *args: Any, **options: Any) -> Any:
        return self._call(*args, **options)


def part_shares(step: TrainingStep, steps: int) -> dict[str, float]:
    """Shares of ``PARTS`` in so many steps of a tokenizer, each with the upload of its batch.

    Parts that a step lacks are 0. The step is as before afterwards.
    """
    task, device = step.task, step.task.distributed.device
    timer = PartTimer(device)
    with ExitStack() as stack:
        run = _instrumented(task, timer, stack)
        batch = step.given[0]
        pixels_BHW3 = torch.zeros_like(batch.images, device="cpu", dtype=torch.uint8)
        pixels_BHW3 = pixels_BHW3.permute(0, 2, 3, 1).contiguous()
        for _ in range(steps):
            with timer.part("loading"):
                to_tensor(upload(pixels_BHW3, device))
            with timer.part("rest"):
                run(step.given, step.number)
    total = sum(timer.seconds.values())
    return {name: timer.seconds[name] / total for name in PARTS}


def _instrumented(task: Any, timer: PartTimer, stack: ExitStack) -> Callable[..., Any]:
    """The step of ``task`` with its parts timed until ``stack`` ends."""
    objective, judge = task.step.objective, task.discriminator
    calls: list[tuple[object, str, str]] = [
        (objective, "text", "text"),
        (objective.loss, "forward", "losses of pixels"),
        (task.step.distributed, "backward", "backward"),
        (task.ema, "update", "average"),
    ]
    for one in (task.step, judge):
        if one is not None:
            calls += [(one.optimizer, name, "optimiser") for name in ("clip", "step", "zero_grad")]
    for owner, name, part in calls:
        if getattr(owner, name) is not None:
            timed = timer.timed(part, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, timed))
    loss = objective.loss
    if loss.perceptual is not None:
        perceptual = Timed("perceptual", loss.perceptual, timer)
        stack.enter_context(patch.object(loss, "perceptual", perceptual))
    if judge is not None:
        for name in ("module", "parallel"):
            timed_judge = Timed("discriminator", getattr(judge, name), timer)
            stack.enter_context(patch.object(judge, name, timed_judge))
    return replace(task.step, parallel=Timed("forward", task.step.parallel, timer))
