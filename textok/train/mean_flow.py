"""Average velocities as an objective: improved MeanFlow (Geng et al. 2025, arXiv 2512.02012).

Legend: B micro-batch, K latent tokens, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from textok.config import GeneratorConfig
from textok.config.objective import EARLIEST_HIGH, LATEST_LOW
from textok.diffusion import Flow
from textok.diffusion.mean_flow import balanced, compound, derivative_along, guided_velocity
from textok.generator.mean_flow import MeanFlowCondition
from textok.latents import LatentScale
from textok.train.denoising import LEVELS
from textok.train.feature_alignment import GeneratorAlignment
from textok.train.objective import Network, Outcome, Terms
from textok.train.randomness import RandomSource, StepRandomness, sample_for_mean_flow
from textok.types import Condition, LatentBatch, Latents


@dataclass(frozen=True, kw_only=True)
class MeanFlow:
    """The average velocity between two times of a flow, with guidance inside the training.

    A network's output is the average velocity u(z, r, t), then its velocity v(z, t). Three passes:
    v with and without the condition, which guide the target; du/dt along v, where r < t; and the
    one that is trained. The first two have neither gradients nor dropout. With ``alignment`` also
    the features of the images, from a hidden state.
    """

    shape: GeneratorConfig
    scale: LatentScale
    """On the device of the latents."""
    source: RandomSource
    alignment: GeneratorAlignment | None = None

    @cached_property
    def flow(self) -> Flow:
        return Flow(self.shape.objective)

    def sample(self, step: int) -> StepRandomness:
        shape = self.shape
        return sample_for_mean_flow(
            self.source,
            step,
            num_tokens=shape.num_tokens,
            channels=shape.channels,
            equal_times=shape.objective.equal_times,
        )

    def evaluate(
        self, network: Network, batch: LatentBatch, randomness: StepRandomness, step: int
    ) -> Outcome:
        """The ``loss`` to minimise, and the mean squares of the two errors that it is made of.

        ``average_velocity`` is that of u + (t - r) du/dt, ``velocity`` that of v.
        """
        posterior, noise = randomness.posterior, randomness.noise
        assert posterior is not None and noise is not None
        tokens = self.scale.normalise(batch.latents.sample(posterior))
        times, told = self._drawn(randomness)
        points = Points(
            network=network,
            noisy=self.flow.add_noise(tokens, noise, times),
            times=times,
            condition=self.source.dropped(batch.condition, randomness),
            told=told,
        )
        target, velocity = self._targets(points, noise - tokens)
        derivative = points.derivative(velocity)
        alignment = self.alignment
        given = points.output(hidden_after=0 if alignment is None else alignment.block)
        output, hidden = (given, None) if alignment is None else given
        average, own = output.chunk(2, dim=-1)
        errors = {
            "average_velocity": compound(average, derivative, told.span) - target,
            "velocity": own - target,
        }
        power = self.shape.objective.error_power
        loss = torch.stack([balanced(error, power).mean() for error in errors.values()]).sum()
        terms = {name: error.detach().square().mean() for name, error in errors.items()}
        if alignment is not None and hidden is not None:
            assert batch.features is not None
            terms["alignment"] = alignment(hidden, batch.features)
            loss = loss + alignment.weight * terms["alignment"]
        return Outcome(terms={"loss": loss, **terms})

    def validation_losses(
        self, network: Network, latents: Latents, condition: Condition, generator: torch.Generator
    ) -> Terms:
        """Without guidance and with the same noise, errors (B,) at these times.

        ``t0.1`` and so on of the velocity, as those of a flow; ``average0.1`` of u + (t - r) du/dt
        from there to the data, along the network's own velocity.
        """
        tokens = self.scale.normalise(latents.mean)
        noise = torch.randn(tokens.shape, generator=generator).to(tokens.device)
        losses = {}
        for level in LEVELS:
            times = tokens.new_full((len(tokens),), level)
            points = Points(
                network=network,
                noisy=self.flow.add_noise(tokens, noise, times),
                times=times,
                condition=condition,
                told=MeanFlowCondition.unguided(times),
            )
            velocity, own = points.instantaneous().chunk(2, dim=-1)
            losses[f"t{level}"] = self.flow.loss(velocity, tokens, noise, times)
            derivative = points.derivative(own)
            average = points.output().chunk(2, dim=-1)[0]
            implied = compound(average, derivative, times)
            losses[f"average{level}"] = self.flow.loss(implied, tokens, noise, times)
        return losses

    def _drawn(self, randomness: StepRandomness) -> tuple[Tensor, MeanFlowCondition]:
        """Times t (B,), the later of two that are drawn; and what goes with them."""
        first, second = randomness.time, randomness.second_time
        equal, uniform = randomness.equal_times, randomness.guidance
        assert first is not None and second is not None
        assert equal is not None and uniform is not None
        one, other = map(self.flow.sample_timesteps, (first, second))
        times = torch.maximum(one, other)
        log_scale, low, high = uniform.unbind(dim=-1)
        told = MeanFlowCondition(
            span=(one - other).abs().masked_fill(equal, 0),
            scale=self.shape.objective.max_guidance**log_scale,
            low=LATEST_LOW * low,
            high=EARLIEST_HIGH + (1 - EARLIEST_HIGH) * high,
        )
        return times, told

    @torch.no_grad()
    def _targets(self, points: Points, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """The guided velocity to learn, and the network's own one."""
        if self.shape.objective.max_guidance == 1:
            return velocity, points.instantaneous().chunk(2, dim=-1)[1]
        guided, unconditional = points.with_and_without_condition()
        times, told = points.times, points.told
        inside = (times >= told.low) & (times <= told.high)
        scale = torch.where(inside, told.scale, 1.0)
        return guided_velocity(velocity, guided, unconditional, scale), guided


@dataclass(frozen=True, kw_only=True)
class Points:
    """B points of paths, all that a ``network`` is told there, and what it answers."""

    network: Network
    noisy: Tensor
    """(B, K, C): z."""
    times: Tensor
    """(B,): t."""
    condition: Condition
    told: MeanFlowCondition

    def output(self, *, hidden_after: int = 0) -> Any:
        """(B, K, 2 C): u, then v; with ``hidden_after`` also the states after that block."""
        return self.network(
            self.noisy,
            self.times,
            self.condition,
            mean_flow=self.told,
            hidden_after=hidden_after,
        )

    def instantaneous(self) -> Tensor:
        """The output (B, K, 2 C) where r = t."""
        return replace(self, told=self.told.instantaneous()).output()

    def with_and_without_condition(self) -> tuple[Tensor, Tensor]:
        """v (B, K, C) where r = t, by one pass over both."""
        both = self.network(
            torch.cat([self.noisy, self.noisy]),
            torch.cat([self.times, self.times]),
            Condition.cat([self.condition, self.condition.nothing()]),
            mean_flow=self.told.instantaneous().twice(),
        )
        guided, unconditional = both.chunk(2, dim=-1)[1].chunk(2)
        return guided, unconditional

    def derivative(self, velocity: Tensor) -> Tensor:
        """du/dt (B, K, C) along ``velocity`` where r < t; 0 elsewhere, where nobody asks."""
        rows = (self.told.span > 0).nonzero()[:, 0]
        if len(rows) == 0:
            # Processes that share weights out have to run equally often.
            rows = rows.new_zeros(1)
        asked, given = self.condition[rows], self.told[rows]

        def average_velocity(z: Tensor, t: Tensor, span: Tensor) -> Tensor:
            output: Tensor = self.network(z, t, asked, mean_flow=given.over(span))
            return output.chunk(2, dim=-1)[0]

        derivative = derivative_along(
            average_velocity,
            self.noisy[rows],
            self.times[rows],
            given.span,
            velocity=velocity[rows],
        )
        return torch.zeros_like(velocity).index_copy(0, rows, derivative)
