"""A sampler as a table of numbers, so that a client needs no sampler of its own.

Every deterministic sampler is linear in the tokens x and in what was predicted so far. Each row is
one evaluation of the generator at ``time``, guided by ``guidance``:

    prediction = from_tokens * x + from_output * output
    x = keep * x + now * prediction + before * (the prediction of the row above, 0 in the first)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from textok.config import DecodingConfig
from textok.config.generator import GeneratorConfig, SamplingConfig
from textok.diffusion import Objective, objective
from textok.diffusion.samplers import ddim, dpmpp, euler, heun
from textok.generator.guidance import guidance_scale
from textok.generator.mean_flow import MeanFlowCondition
from textok.tokenizer.flow_decoder import FlowDecoder

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

    They are read off the sampler itself.
    """
    learnt = objective(config.objective)
    times = learnt.times(sampling.steps, shift=sampling.time_shift)

    def run(predict: Predict, start: Tensor) -> Iterator[Tensor]:
        if sampling.sampler in OF_VELOCITY:
            return OF_VELOCITY[sampling.sampler](predict, start, times)
        solver = {"ddim": ddim, "dpmpp": dpmpp}[sampling.sampler]
        return solver(predict, start, times, learnt.alpha_sigma)

    def reading(index: int) -> tuple[float, float]:
        return _reading(learnt, sampling, times[index])

    rows = []
    for step in _read_off(run, reading, calls=2 * sampling.steps):
        from_tokens, from_output = reading(step.place)
        rows.append(
            Evaluation(
                time=float(times[step.place]),
                **_guided(sampling, times, step.place),
                from_tokens=from_tokens,
                from_output=from_output,
                keep=step.keep,
                now=step.now,
                before=step.before,
            )
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class Step:
    """One evaluation: x = keep * x + now * prediction + before * (the prediction before)."""

    place: Any
    """Time, or index of a time."""
    keep: float
    now: float
    before: float


Predict = Callable[[Tensor, Any], Tensor]


def decoding_steps(decoder: FlowDecoder, decoding: DecodingConfig) -> list[Step]:
    """How a decoder goes from noise to clean patches; predictions are those of the clean ones."""

    def run(predict: Predict, start: Tensor) -> Iterator[Tensor]:
        return decoder.follow(lambda x, t_B: predict(x, float(t_B[0])), start, decoding)

    return list(_read_off(run, lambda _: (0.0, 1.0), calls=2 * decoding.steps))


def _read_off(
    run: Callable[[Predict, Tensor], Iterator[Tensor]],
    reading: Callable[[Any], tuple[float, float]],
    *,
    calls: int,
) -> Iterator[Step]:
    """The steps of a sampler, which runs on vectors in place of tokens.

    The starting noise and the output of each of at most so many calls are a direction of their own.
    ``reading`` is how a prediction follows from x and output.
    """
    seen: list[tuple[Any, Tensor]] = []

    def direction(number: int) -> Tensor:
        one = torch.zeros(1, 1, calls + 1, dtype=torch.float64)
        one[..., number] = 1
        return one

    def prediction(x: Tensor, place: Any, number: int) -> Tensor:
        from_x, from_output = reading(place)
        return from_x * x + from_output * direction(number)

    def predict(x: Tensor, place: Any) -> Tensor:
        seen.append((place, x))
        return prediction(x, place, len(seen))

    last = list(run(predict, direction(0)))[-1]
    before = torch.zeros_like(last)
    following = [x for _, x in seen[1:]] + [last]
    for number, ((place, x), after) in enumerate(zip(seen, following, strict=True), start=1):
        now = prediction(x, place, number)
        of_x, of_now, of_before = _coefficients(after, x, now, before)
        yield Step(place=place, keep=of_x, now=of_now, before=of_before)
        before = now


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
