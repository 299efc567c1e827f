"""Latent tokens out of noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from textok.config.generator import GeneratorConfig, SamplingConfig
from textok.diffusion.objective import Objective, objective
from textok.diffusion.samplers import ancestral, ddim, dpmpp, euler, heun
from textok.generator.guidance import Output, both_conditions, guidance_scale, guided
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

    The arguments are those of ``TokenGenerator.sample``.
    """
    config = network.config
    config.check_sampling(sampling)
    device = next(network.parameters()).device
    condition, negative = both_conditions(condition, negative, seeds, device)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def noise() -> Tensor:
        shape = (config.num_tokens, config.channels)
        return torch.stack([torch.randn(shape, generator=one) for one in generators]).to(device)

    learnt = objective(config.objective)
    times = learnt.times(sampling.steps, shift=sampling.time_shift)

    def ask(condition: Condition) -> Output:
        prepared = network.prepare(condition, times[:-1].to(device, torch.float32))
        return lambda x_BKC, index: network.step(x_BKC, index, prepared)

    scales = [guidance_scale(sampling.guidance, t) for t in times[:-1].tolist()]
    output = guided(ask, condition, negative, scales, channels=config.channels)
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

    def x0_spread(x_BKC: Tensor, index: int) -> tuple[Tensor, Tensor]:
        predicted = output(x_BKC, index)
        return learnt.x0(predicted, x_BKC, times[index]), learnt.spread(predicted)

    return ancestral(x0_spread, x_BKC, times, learnt.alpha_sigma, noise)
