"""How long a side of `benchmarks.sampling` takes, and how many FLOPs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.sampling_report import Timing
from benchmarks.sampling_sides import Side
from textok.config.generator import SamplingConfig

SECONDS_WALKING = 5.0
SECONDS_DECODING = 0.5


@dataclass(frozen=True, kw_only=True)
class Case:
    """One side that is measured."""

    name: str
    side: Side
    sampling: SamplingConfig
    tokens: int
    """0: the peer."""


class _Enough(Exception):
    """Enough steps were walked."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Seconds, once the device has done all that it was told."""

    device: str
    cpu: bool

    def __call__(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.process_time() if self.cpu else time.perf_counter()

    def time(self, call: Callable[[], object]) -> float:
        """Of one call."""
        start = self()
        call()
        return self() - start


def time_walk(case: Case, pictures: int, timed: int, clock: Clock) -> tuple[float, list[float]]:
    """Seconds of a whole walk, and of each step that was timed; none where ``timed`` is 0.

    At least ``timed`` steps are walked, and SECONDS_WALKING; the others are taken for the median of
    all but the first, which also holds what is prepared once for all steps. A walk of one step is
    repeated instead, and its median taken.
    """
    if case.sampling.steps == 1:
        start, walks = clock(), list[float]()
        while len(walks) < max(timed, 1) or clock() - start < SECONDS_WALKING:
            walks.append(clock.time(lambda: case.side.walk(pictures, case.sampling)))
        return median(walks), []
    if timed == 0:
        return clock.time(lambda: case.side.walk(pictures, case.sampling)), []
    marks: list[float] = []

    def on_step(done: int) -> None:
        marks.append(clock())
        if done >= timed and marks[-1] - start > SECONDS_WALKING:
            raise _Enough

    start = clock()
    with suppress(_Enough):
        case.side.walk(pictures, case.sampling, on_step)
    steps = [end - begin for begin, end in pairwise([start, *marks])]
    return steps[0] + (case.sampling.steps - 1) * median(steps[1:] or steps), steps


def count_flops(case: Case) -> tuple[float, float]:
    """FLOPs a picture of a step, with its share of what is prepared for all, and of decoding.

    By torch's counter, which knows matrix products and convolutions, of attention too: it is told
    of them when they are done one by one, and nothing of what is compiled.
    """
    known = {}
    if torch.backends.mkldnn.is_available():
        known[torch.ops.mkldnn._linear_pointwise] = _linear_flops
    counts = []
    with sdpa_kernel(SDPBackend.MATH), torch.compiler.set_stance("force_eager"):
        with FlopCounterMode(display=False, custom_mapping=known) as counter:
            latents = case.side.walk(1, replace(case.sampling, steps=1))
        counts.append(float(counter.get_total_flops()))
        with FlopCounterMode(display=False, custom_mapping=known) as counter:
            case.side.decode(latents)
        counts.append(float(counter.get_total_flops()))
    return counts[0], counts[1]


def _linear_flops(x_shape: Sequence[int], weight_shape: Sequence[int], *_: Any, **__: Any) -> int:
    """Of ``textok.nn.linear`` by way of oneDNN, which torch's counter does not know."""
    return 2 * math.prod(x_shape) * weight_shape[0]


def time_case(case: Case, pictures: int, timed: int, clock: Clock) -> Timing:
    """Seconds of ``pictures`` pictures at once."""
    torch.compiler.reset()
    # The third call of a recorded graph is the first that only replays it.
    calls = 3 if clock.device == "cuda" else 1
    latents = case.side.walk(pictures, replace(case.sampling, steps=calls))
    walk, steps = time_walk(case, pictures, timed, clock)

    def decode() -> Tensor:
        return case.side.decode(latents)

    once = [clock.time(decode) for _ in range(calls)][-1]
    decoding = [clock.time(decode) for _ in range(math.ceil(SECONDS_DECODING / once))]
    return Timing(pictures=pictures, walk=walk, steps_timed=steps, decoding=median(decoding))
