"""Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598), on all channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import cos, pi
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from textok.config.generator import GeneratorConfig, GuidanceConfig
from textok.types import Condition

P = TypeVar("P")


class Network(Protocol[P]):
    """What pictures are drawn from; ``textok.generator.DiT`` is one."""

    @property
    def config(self) -> GeneratorConfig: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def prepare(self, condition: Condition, times_S: Tensor) -> P:
        """What does not change from step to step."""
        ...

    def step(self, x_BKC: Tensor, index: int, prepared: P) -> Tensor:
        """The output (B, K, C x outputs) at ``times_S[index]``."""
        ...


def guidance_scale(guidance: GuidanceConfig, t: float) -> float:
    """The scale at time ``t``, where 1 is no guidance.

    ``linear`` rises with 1 - t, ``power_cosine`` with (1 - cos(pi (1 - t)^power)) / 2 (MDT, arXiv
    2303.14389); outside [low, high] there is none (arXiv 2404.07724).
    """
    if not guidance.low <= t <= guidance.high:
        return 1.0
    rise = {
        "constant": 1.0,
        "linear": 1 - t,
        "power_cosine": (1 - cos(pi * (1 - t) ** guidance.power)) / 2,
    }[guidance.schedule]
    return 1 + (guidance.scale - 1) * rise


def guided(
    network: Network[P],
    condition: Condition,
    negative: Condition,
    guidance: GuidanceConfig,
    times_S: Tensor,
) -> Callable[[Tensor, int], Tensor]:
    """The network's output for ``condition``, led away from ``negative``; of (x, index of a time).

    The conditions are where the network is. Where the scale is 1 the network is not asked about
    ``negative``; elsewhere both go through it as one batch.
    """
    scales = [guidance_scale(guidance, t) for t in times_S.tolist()]
    times = times_S.to(next(network.parameters()).device, torch.float32)
    rows = {False: condition, True: Condition.cat([condition, negative])}
    prepared = {
        doubled: network.prepare(rows[doubled], times) for doubled in {s != 1 for s in scales}
    }

    def output(x_BKC: Tensor, index: int) -> Tensor:
        scale = scales[index]
        if scale == 1:
            return network.step(x_BKC, index, prepared[False])
        both = network.step(torch.cat([x_BKC, x_BKC]), index, prepared[True])
        asked, other = both.chunk(2)
        channels = x_BKC.shape[-1]
        mean = other[..., :channels] + scale * (asked - other)[..., :channels]
        # A learned variance is that of the condition.
        return torch.cat([mean, asked[..., channels:]], dim=-1)

    return output
