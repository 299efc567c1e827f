"""Latent tokens out of noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from textok.config.check import require
from textok.config.generator import GeneratorConfig, SamplingConfig
from textok.diffusion.objective import Objective, objective
from textok.diffusion.samplers import ancestral, ddim, dpmpp, euler, heun
from textok.generator.guidance import (
    Output,
    autoguided,
    both_conditions,
    guidance_scale,
    guided,
)
from textok.runtime.recorder import Recorder
from textok.types import Condition

P = TypeVar("P")
FRESH_NOISE = ("ddpm", "sde")
"""Samplers that add noise at each step but the last."""


class StepwiseNetwork(Protocol[P]):
    """What is sampled from; ``textok.generator.DiT`` is one."""

    @property
    def config(self) -> GeneratorConfig: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def prepare(self, condition: Condition, times_S: Tensor) -> P:
        """What does not change from step to step."""
        ...

    def step(self, x_BKC: Tensor, index: int, prepared: P) -> Tensor:
        """The output (B, K, C x outputs) at ``times_S[index]``."""
        ...


def draw(
    network: StepwiseNetwork[P],
    condition: Condition,
    *,
    sampling: SamplingConfig,
    seeds: Sequence[int],
    negative: Condition | None = None,
    guide: StepwiseNetwork[Any] | None = None,
    on_step: Callable[[int], None] | None = None,
    recorder: Recorder | None = None,
) -> Tensor:
    """Tokens (B, K, C), float32, on the normalised scale of the latents the network learnt from.

    With gradients into the network, where they are enabled.
    The arguments are those of ``TokenGenerator.sample``. ``guide`` is what
    ``sampling.guidance.guide`` names. With a ``recorder`` all steps are one recording, after which
    ``on_step`` is told of each, and labels are not checked.
    """
    config = network.config
    config.check_sampling(sampling)
    check_guide(sampling, guide, negative)
    device = next(network.parameters()).device
    condition, negative = both_conditions(condition, negative, seeds, device)
    noise = noise_of(seeds, (config.num_tokens, config.channels), device)
    times = objective(config.objective).times(sampling.steps, shift=sampling.time_shift)
    times_S = times[:-1].to(device, torch.float32)
    walk = partial(_walk, network, guide, sampling)
    if recorder is None:
        return last(walk(condition, negative, times_S, noise), on_step)

    def call(noise_NBKC: Tensor, times_S: Tensor, *conditions: Tensor | None) -> Tensor:
        asked, away = Condition.of(*conditions[:3]), Condition.of(*conditions[3:])
        fresh = iter(noise_NBKC).__next__
        return last(walk(asked, away, times_S, fresh))

    draws = sampling.steps if sampling.sampler in FRESH_NOISE else 1
    tokens_BKC = recorder(
        (network, guide, sampling),
        call,
        torch.stack([noise() for _ in range(draws)]),
        times_S,
        *condition.padded(config.text_tokens).tensors,
        *negative.padded(config.text_tokens).tensors,
    )
    return last((tokens_BKC for _ in range(sampling.steps)), on_step)


def _walk(
    network: StepwiseNetwork[Any],
    guide: StepwiseNetwork[Any] | None,
    sampling: SamplingConfig,
    condition: Condition,
    negative: Condition,
    times_S: Tensor,
    noise: Callable[[], Tensor],
) -> Iterator[Tensor]:
    """x after each step; all tensors are on the network's device, and no value is looked at."""
    config = network.config
    learnt = objective(config.objective)
    times = learnt.times(sampling.steps, shift=sampling.time_shift)

    def outputs(network: StepwiseNetwork[Any], condition: Condition) -> Output:
        prepared = network.prepare(condition, times_S)
        return lambda x_BKC, index: network.step(x_BKC, index, prepared)

    scales = [guidance_scale(sampling.guidance, t) for t in times[:-1].tolist()]
    own = partial(outputs, network)
    if guide is None:
        output = guided(own, condition, negative, scales, channels=config.channels)
    else:
        both = partial(own, condition), partial(outputs, guide, condition)
        output = autoguided(*both, scales, channels=config.channels)
    return _path(sampling.sampler, learnt, output, noise(), times, noise)


def last(path: Iterator[Tensor], on_step: Callable[[int], None] | None = None) -> Tensor:
    """The last of a path of one step or more; ``on_step`` is told the number of each."""
    reached: Tensor | None = None
    for done, x_BKC in enumerate(path, start=1):
        reached = x_BKC
        if on_step is not None:
            on_step(done)
    assert reached is not None, "a path has steps"
    return reached


sample = torch.inference_mode()(draw)
"""``draw`` without gradients."""


def noise_of(
    seeds: Sequence[int], shape: tuple[int, int], device: torch.device
) -> Callable[[], Tensor]:
    """Draws standard-normal (B, *shape), row i from ``seeds[i]`` alone; anew at each call."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def noise() -> Tensor:
        return torch.stack([torch.randn(shape, generator=one) for one in generators]).to(device)

    return noise


def check_guide(
    sampling: SamplingConfig, guide: object | None, negative: Condition | None = None
) -> None:
    """Raise ValueError where a guide is named but not given, or beside a negative condition."""
    name = sampling.guidance.guide
    require(
        guide is not None or not name,
        f"guidance.guide is '{name}', which only a pipeline opens: give the generator `guide` too",
    )
    require(
        guide is None or negative is None,
        "a guide takes the place of the negative prompt or class: leave one of them out",
    )


def _path(
    sampler: str,
    learnt: Objective,
    output: Output,
    x_BKC: Tensor,
    times: Tensor,
    noise: Callable[[], Tensor],
) -> Iterator[Tensor]:
    """x after each step of ``times``, by the sampler of that name."""
    if sampler in ("euler", "heun"):
        # A flow's output is the velocity.
        return {"euler": euler, "heun": heun}[sampler](output, x_BKC, times)

    def x0(x_BKC: Tensor, index: int) -> Tensor:
        return learnt.x0(output(x_BKC, index), x_BKC, times[index])

    if sampler in ("ddim", "dpmpp"):
        return {"ddim": ddim, "dpmpp": dpmpp}[sampler](x0, x_BKC, times, learnt.alpha_sigma)

    def x0_and_logvar_weight(x_BKC: Tensor, index: int) -> tuple[Tensor, Tensor]:
        predicted = output(x_BKC, index)
        return learnt.x0(predicted, x_BKC, times[index]), learnt.logvar_weight(predicted)

    return ancestral(x0_and_logvar_weight, x_BKC, times, learnt.alpha_sigma, noise)
