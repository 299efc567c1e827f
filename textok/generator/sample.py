"""Latent tokens out of noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from textok.config.generator import SamplingConfig
from textok.generator.ddpm import DDPM
from textok.generator.guidance import Network, guided
from textok.generator.objective import Objective, objective
from textok.generator.samplers import ancestral, ddim, dpmpp, euler, heun
from textok.types import Condition

P = TypeVar("P")


@torch.inference_mode()
def sample(
    network: Network[P],
    condition: Condition,
    *,
    sampling: SamplingConfig,
    seeds: Sequence[int],
    negative: Condition | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Tokens (B, K, C), float32, on the normalised scale of the latents the network learnt from.

    All noise of picture i follows from ``seeds[i]`` alone: it does not depend on the batch, nor on
    the device. ``negative``, of as many rows, is what guidance leads away from, in place of nothing
    in particular. ``on_step`` is told the number of steps done, after each.

    Raises ValueError if the sampler does not fit the network's objective, or if the numbers of rows
    and seeds differ.
    """
    config = network.config
    sampling.check(config.objective)
    if negative is None:
        negative = condition.nothing()
    if not len(condition) == len(seeds) == len(negative):
        raise ValueError(
            f"{len(condition)} rows of condition, {len(negative)} of negative and {len(seeds)} "
            "seeds: give as many of each"
        )
    device = next(network.parameters()).device
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def noise() -> Tensor:
        shape = (config.num_tokens, config.channels)
        return torch.stack([torch.randn(shape, generator=one) for one in generators]).to(device)

    learnt = objective(config.objective)
    times = learnt.times(sampling.steps)
    condition, negative = condition.to(device), negative.to(device)
    output = guided(network, condition, negative, sampling.guidance, times[:-1])
    tokens_BKC = noise()
    path = _path(sampling.sampler, learnt, output, tokens_BKC, times, noise)
    for done, x_BKC in enumerate(path, start=1):
        tokens_BKC = x_BKC
        if on_step is not None:
            on_step(done)
    return tokens_BKC


def _path(
    sampler: str,
    learnt: Objective,
    output: Callable[[Tensor, int], Tensor],
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

    assert isinstance(learnt, DDPM), sampler
    ddpm = learnt

    def x0_spread(x_BKC: Tensor, index: int) -> tuple[Tensor, Tensor]:
        predicted = output(x_BKC, index)
        return ddpm.x0(predicted, x_BKC, times[index]), ddpm.spread(predicted)

    return ancestral(x0_spread, x_BKC, times, ddpm.alpha_sigma, noise)
