"""A sampler as a table of numbers, so that a client needs no sampler of its own.

Every deterministic sampler is linear in the tokens x and in what was predicted so far. Each row is
one evaluation of the generator at ``time``, guided by ``guidance``:

    prediction = from_tokens * x + from_output * output
    x = keep * x + now * prediction + before * (the prediction of the row above, 0 in the first)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from textok.config.generator import GeneratorConfig, SamplingConfig
from textok.diffusion import Objective, objective
from textok.diffusion.samplers import ddim, dpmpp, euler, heun
from textok.generator.guidance import guidance_scale
from textok.generator.mean_flow import MeanFlowCondition

CLOSE = 1e-9
OF_VELOCITY = {"euler": euler, "heun": heun, "meanflow": euler}
"""Samplers whose prediction is the output itself."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One row of the table."""

    time: float
    guidance: float
    """1 is none: then there is no need for the output without a condition."""
    from_tokens: float
    from_output: float
    keep: float
    now: float
    before: float
    inputs: dict[str, float] = field(default_factory=dict)
    """Further inputs of the generator, the same in all rows of a batch."""


def evaluations(config: GeneratorConfig, sampling: SamplingConfig) -> list[Evaluation]:
    """The rows of a sampler of ``sampling``, which adds no noise.

    They are read off the sampler itself, which runs on vectors in place of tokens: the starting
    noise and each output are a direction of their own.
    """
    learnt = objective(config.objective)
    times = learnt.times(sampling.steps, shift=sampling.time_shift)
    size = 2 * sampling.steps + 1
    seen: list[tuple[int, Tensor]] = []

    def direction(number: int) -> Tensor:
        one = torch.zeros(1, 1, size, dtype=torch.float64)
        one[..., number] = 1
        return one

    def predict(x: Tensor, index: int) -> Tensor:
        seen.append((index, x))
        a, b = _reading(learnt, sampling, times[index])
        return a * x + b * direction(len(seen))

    start = direction(0)
    if sampling.sampler in OF_VELOCITY:
        path = OF_VELOCITY[sampling.sampler](predict, start, times)
    else:
        solver = {"ddim": ddim, "dpmpp": dpmpp}[sampling.sampler]
        path = solver(predict, start, times, learnt.alpha_sigma)
    last = list(path)[-1]
    rows, prediction_before = [], torch.zeros_like(start)
    following = [x for _, x in seen[1:]] + [last]
    for number, ((index, x), after) in enumerate(zip(seen, following, strict=True), start=1):
        a, b = _reading(learnt, sampling, times[index])
        prediction = a * x + b * direction(number)
        keep, now, before = _coefficients(after, x, prediction, prediction_before)
        prediction_before = prediction
        time = float(times[index])
        rows.append(
            Evaluation(
                time=time,
                **_guided(sampling, times, index),
                from_tokens=a,
                from_output=b,
                keep=keep,
                now=now,
                before=before,
            )
        )
    return rows


def _guided(sampling: SamplingConfig, times: Tensor, index: int) -> dict[str, Any]:
    """How guidance enters: by a second output, or as an input of an average velocity."""
    if sampling.sampler != "meanflow":
        return {"guidance": guidance_scale(sampling.guidance, float(times[index]))}
    told = MeanFlowCondition.at_steps(times, sampling.guidance)
    inputs = {name: float(value[index]) for name, value in vars(told).items()}
    return {"guidance": 1.0, "inputs": inputs}


def _reading(learnt: Objective, sampling: SamplingConfig, time: Tensor) -> tuple[float, float]:
    """How a sampler's prediction follows from tokens and output: the velocity, or the data."""
    if sampling.sampler in OF_VELOCITY:
        return 0.0, 1.0
    one, zero = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)
    return float(learnt.x0(zero, one, time)), float(learnt.x0(one, zero, time))


def _coefficients(after: Tensor, *parts: Tensor) -> list[float]:
    """``after`` as a sum of ``parts``, each times a number."""
    basis = torch.stack([part.flatten() for part in parts], dim=1)
    found = torch.linalg.lstsq(basis, after.flatten()[:, None], driver="gelsd").solution
    error = (basis @ found - after.flatten()[:, None]).abs().max()
    assert float(error) < CLOSE, f"a step depends on more than these: off by {float(error)}"
    return [float(number) for number in found.flatten()]
