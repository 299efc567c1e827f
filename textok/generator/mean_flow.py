"""What a network of average velocities is told beside time and condition, and how it is sampled.

Improved MeanFlow (Geng et al. 2025, arXiv 2512.02012): u(z_t, r, t) is the mean velocity of the
path from time t to an earlier r, so that z_r = z_t - (t - r) u. Guidance was part of the training,
and its scale and interval are conditions.

Legend: B batch, S sampling steps, K latent tokens, C channels, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from textok.config.generator import GeneratorConfig, GuidanceConfig, SamplingConfig
from textok.diffusion import objective
from textok.diffusion.samplers import euler
from textok.generator.sample import last, noise_of
from textok.nn.time import EmbeddingMLP, sinusoids
from textok.runtime.recorder import Recorder
from textok.types import Condition

HIGHEST_FREQUENCY = 10.0
"""Of the sinusoids, in radians a unit. These numbers matter in their second digit, not their third;
and du/dt, which the network is trained on, grows with the frequency."""


@dataclass(frozen=True, kw_only=True)
class MeanFlowCondition:
    """One number of each for every row (B,), or for every step (S,)."""

    span: Tensor
    """t - r in [0, 1]: how far back the velocity is averaged; 0 asks for that at t itself."""
    scale: Tensor
    """Of guidance, 1 or more; 1 is none."""
    low: Tensor
    """Guided at times in [low, high]."""
    high: Tensor

    @classmethod
    def at_steps(cls, times: Tensor, guidance: GuidanceConfig) -> MeanFlowCondition:
        """From each of ``times`` (S + 1,), which fall, to the next; float32, on their device."""
        span = (times[:-1] - times[1:]).float()
        numbers = {"scale": guidance.total, "low": guidance.low, "high": guidance.high}
        return cls(span=span, **{name: torch.full_like(span, n) for name, n in numbers.items()})

    @classmethod
    def unguided(cls, span: Tensor) -> MeanFlowCondition:
        """Without guidance at any time."""
        one = torch.ones_like(span)
        return cls(span=span, scale=one, low=torch.zeros_like(span), high=one)

    def instantaneous(self) -> MeanFlowCondition:
        """The same where r = t."""
        return self.over(torch.zeros_like(self.span))

    def over(self, span: Tensor) -> MeanFlowCondition:
        """The same over another span."""
        return replace(self, span=span)

    def __getitem__(self, rows: Tensor | slice) -> MeanFlowCondition:
        return MeanFlowCondition(
            span=self.span[rows], scale=self.scale[rows], low=self.low[rows], high=self.high[rows]
        )

    def twice(self) -> MeanFlowCondition:
        """All rows, then all of them again."""
        return MeanFlowCondition(
            **{name: torch.cat([value, value]) for name, value in vars(self).items()}
        )


class MeanFlowEmbedding(nn.Module):
    """The four numbers as a vector: sinusoids of each, 1 - 1 / scale for the scale; then an MLP.

    It starts at zero, so that a network starts as one without it.
    """

    def __init__(self, width: int, frequencies: int = 64) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.mlp = EmbeddingMLP(4 * frequencies, width)

    def init_weights(self) -> None:
        """As the MLP by itself, its output zero."""
        self.mlp.init_weights()
        nn.init.zeros_(self.mlp.outer.weight)

    def forward(self, told: MeanFlowCondition) -> Tensor:
        """(...) to (..., D)."""
        numbers = torch.stack([told.span, 1 - 1 / told.scale, told.low, told.high], dim=-1)
        waves = sinusoids(HIGHEST_FREQUENCY * numbers, self.frequencies)
        return self.mlp(waves.flatten(-2))


class MeanFlowNetwork(Protocol):
    """What is sampled from; ``textok.generator.DiT`` is one."""

    @property
    def config(self) -> GeneratorConfig: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def prepare(
        self,
        condition: Condition,
        times_S: Tensor,
        *,
        mean_flow: MeanFlowCondition | None = None,
    ) -> Any: ...

    def step(self, x_BKC: Tensor, index: int, prepared: Any) -> Tensor: ...


def draw_mean_flow(
    network: MeanFlowNetwork,
    condition: Condition,
    *,
    sampling: SamplingConfig,
    seeds: Sequence[int],
    on_step: Callable[[int], None] | None = None,
    recorder: Recorder | None = None,
) -> Tensor:
    """Tokens (B, K, C), float32, by one pass a step: z_r = z_t - (t - r) u(z_t, r, t).

    With gradients into the network, where they are enabled. The arguments are those of
    ``TokenGenerator.sample`` and of ``draw``; guidance doubles no row. Raises ValueError
    for sampling that does not fit, or if the numbers of rows and seeds differ.
    """
    config = network.config
    config.check_sampling(sampling)
    if len(condition) != len(seeds):
        raise ValueError(f"{len(condition)} rows of condition and {len(seeds)} seeds: give as many")
    device = next(network.parameters()).device
    times = objective(config.objective).times(sampling.steps, shift=sampling.time_shift)
    noise_BKC = noise_of(seeds, (config.num_tokens, config.channels), device)()

    def path(x_BKC: Tensor, condition: Condition, on_device: Tensor) -> Iterator[Tensor]:
        told = MeanFlowCondition.at_steps(on_device, sampling.guidance)
        prepared = network.prepare(condition, on_device[:-1], mean_flow=told)

        def average_velocity(x_BKC: Tensor, index: int) -> Tensor:
            return network.step(x_BKC, index, prepared)[..., : config.channels]

        # Euler's step, exact where the velocity is the average over it.
        return euler(average_velocity, x_BKC, times)

    def call(x_BKC: Tensor, on_device: Tensor, *told: Tensor | None) -> Tensor:
        return last(path(x_BKC, Condition.of(*told), on_device))

    condition, on_device = condition.to(device), times.to(device, torch.float32)
    if recorder is None:
        return last(path(noise_BKC, condition, on_device), on_step)
    told = condition.padded(config.text_tokens).tensors
    tokens_BKC = recorder((network, sampling), call, noise_BKC, on_device, *told)
    return last((tokens_BKC for _ in range(sampling.steps)), on_step)


sample_mean_flow = torch.inference_mode()(draw_mean_flow)
"""``draw_mean_flow`` without gradients."""
