"""Guidance on all channels: classifier-free (Ho & Salimans 2022, arXiv 2207.12598), and by a guide.

A guide is a weaker version of the network (autoguidance, Karras et al. 2024, arXiv 2406.02507).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, pi

import torch
from torch import Tensor

from textok.config.generator import GuidanceConfig
from textok.types import Condition

Output = Callable[[Tensor, int], Tensor]
"""A network's output for tokens, at a step of that index."""


def guidance_scale(guidance: GuidanceConfig, t: float) -> float:
    """The scale at time ``t``, the share that is yet to be done, where 1 is no guidance.

    ``linear`` rises with 1 - t, ``power_cosine`` with (1 - cos(pi (1 - t)^power)) / 2 (MDT, arXiv
    2303.14389); outside [low, high] there is none (arXiv 2404.07724). ``added`` comes on top of
    the 1 of no guidance (MUSE, arXiv 2301.00704, section 2.7).
    """
    if not guidance.low <= t <= guidance.high:
        return 1.0
    rise = {
        "constant": 1.0,
        "linear": 1 - t,
        "power_cosine": (1 - cos(pi * (1 - t) ** guidance.power)) / 2,
    }[guidance.schedule]
    added = guidance.scale if guidance.form == "added" else guidance.scale - 1
    return 1 + added * rise


def both_conditions(
    condition: Condition,
    negative: Condition | None,
    seeds: Sequence[int],
    device: torch.device,
) -> tuple[Condition, Condition]:
    """The condition and what guidance leads away from, on ``device``.

    Raises ValueError if the numbers of rows and seeds differ.
    """
    if negative is None:
        negative = condition.nothing()
    if not len(condition) == len(seeds) == len(negative):
        raise ValueError(
            f"{len(condition)} rows of condition, {len(negative)} of negative and {len(seeds)} "
            "seeds: give as many of each"
        )
    return condition.to(device), negative.to(device)


def guided(
    network: Callable[[Condition], Output],
    condition: Condition,
    negative: Condition,
    scales: Sequence[float],
    *,
    channels: int,
) -> Output:
    """The output for ``condition``, led away from ``negative`` by the scale of each step.

    ``network`` gives the output for a condition, of which the first ``channels`` of the last
    axis are guided. Where the scale is 1 ``negative`` is not evaluated; elsewhere
    both go through it as one batch.
    """
    rows = {False: condition, True: Condition.cat([condition, negative])}
    outputs = {doubled: network(rows[doubled]) for doubled in {scale != 1 for scale in scales}}

    def output(x: Tensor, index: int) -> Tensor:
        scale = scales[index]
        if scale == 1:
            return outputs[False](x, index)
        positive, other = outputs[True](torch.cat([x, x]), index).chunk(2)
        return led_away(positive, other, scale, channels=channels)

    return output


def autoguided(
    network: Callable[[], Output],
    guide: Callable[[], Output],
    scales: Sequence[float],
    *,
    channels: int,
) -> Output:
    """The output of ``network``, led away from that of ``guide`` by the scale of each step.

    D = D_guide + scale (D_network - D_guide), both for the same condition (autoguidance, arXiv
    2406.02507). Where the scale is 1 the guide is not evaluated.
    """
    own = network()
    others = guide() if any(scale != 1 for scale in scales) else None

    def output(x: Tensor, index: int) -> Tensor:
        positive = own(x, index)
        if scales[index] == 1 or others is None:
            return positive
        return led_away(positive, others(x, index), scales[index], channels=channels)

    return output


def led_away(positive: Tensor, other: Tensor, scale: float, *, channels: int) -> Tensor:
    """other + scale (positive - other) in the first ``channels``; the rest is positive's."""
    mean = other[..., :channels] + scale * (positive[..., :channels] - other[..., :channels])
    return torch.cat([mean, positive[..., channels:]], dim=-1)
