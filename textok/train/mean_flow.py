"""Average velocities as an objective: improved MeanFlow (Geng et al. 2025, arXiv 2512.02012).

Legend: B micro-batch, K latent tokens, C channels.
"""

from __future__ import annotations

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


class MeanFlow:
    """The average velocity between two times of a flow, with guidance inside the training.

    A network's output is the average velocity u(z, r, t), then its velocity v(z, t). Three passes:
    v with and without the condition, which guide the target; du/dt along v, where r < t; and the
    one that is trained. The first two have neither gradients nor dropout. With ``alignment`` also
    the features of the images, from a hidden state.
    """

    def __init__(
        self,
        generator: GeneratorConfig,
        scale: LatentScale,
        *,
        source: RandomSource,
        alignment: GeneratorAlignment | None = None,
    ) -> None:
        self.flow, self._alignment = Flow(generator.objective), alignment
        self._generator, self._scale, self._source = generator, scale, source

    def sample(self, step: int) -> StepRandomness:
        shape = self._generator
        return sample_for_mean_flow(
            self._source,
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
        tokens = self._normalised(batch.latents.sample(posterior))
        times, told = self._drawn(randomness)
        noisy = self.flow.add_noise(tokens, noise, times)
        condition = self._source.dropped(batch.condition, randomness)
        target, velocity = self._targets(network, noisy, times, condition, told, noise - tokens)
        derivative = self._derivative(network, noisy, times, condition, told, velocity)
        alignment = self._alignment
        block = 0 if alignment is None else alignment.block
        given = network(noisy, times, condition, mean_flow=told, hidden_after=block)
        output, hidden = (given, None) if alignment is None else given
        average, own = output.chunk(2, dim=-1)
        errors = {
            "average_velocity": compound(average, derivative, told.span) - target,
            "velocity": own - target,
        }
        power = self._generator.objective.error_power
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
        tokens = self._normalised(latents.mean)
        noise = torch.randn(tokens.shape, generator=generator).to(tokens.device)
        losses = {}
        for level in LEVELS:
            times = tokens.new_full((len(tokens),), level)
            told = MeanFlowCondition.unguided(times)
            noisy = self.flow.add_noise(tokens, noise, times)
            instant = network(noisy, times, condition, mean_flow=told.instantaneous())
            velocity, own = instant.chunk(2, dim=-1)
            losses[f"t{level}"] = self.flow.loss(velocity, tokens, noise, times)
            derivative = self._derivative(network, noisy, times, condition, told, own)
            average = network(noisy, times, condition, mean_flow=told).chunk(2, dim=-1)[0]
            implied = compound(average, derivative, told.span)
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
            scale=self._generator.objective.max_guidance**log_scale,
            low=LATEST_LOW * low,
            high=EARLIEST_HIGH + (1 - EARLIEST_HIGH) * high,
        )
        return times, told

    @torch.no_grad()
    def _targets(
        self,
        network: Network,
        noisy: Tensor,
        times: Tensor,
        condition: Condition,
        told: MeanFlowCondition,
        velocity: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The guided velocity to learn, and the network's own one."""
        instant = told.instantaneous()
        if self._generator.objective.max_guidance == 1:
            return velocity, network(noisy, times, condition, mean_flow=instant).chunk(2, -1)[1]
        both = network(
            torch.cat([noisy, noisy]),
            torch.cat([times, times]),
            Condition.cat([condition, condition.nothing()]),
            mean_flow=instant.twice(),
        )
        guided, unconditional = both.chunk(2, dim=-1)[1].chunk(2)
        inside = (times >= told.low) & (times <= told.high)
        scale = torch.where(inside, told.scale, 1.0)
        return guided_velocity(velocity, guided, unconditional, scale), guided

    def _derivative(
        self,
        network: Network,
        noisy: Tensor,
        times: Tensor,
        condition: Condition,
        told: MeanFlowCondition,
        velocity: Tensor,
    ) -> Tensor:
        """du/dt (B, K, C) of the average velocity where r < t; 0 elsewhere, where nobody asks."""
        rows = (told.span > 0).nonzero()[:, 0]
        if len(rows) == 0:
            # Processes that share weights out have to run equally often.
            rows = rows.new_zeros(1)
        asked, given = condition[rows], told[rows]

        def average_velocity(z: Tensor, t: Tensor, span: Tensor) -> Tensor:
            output: Tensor = network(z, t, asked, mean_flow=given.over(span))
            return output.chunk(2, dim=-1)[0]

        derivative = derivative_along(
            average_velocity, noisy[rows], times[rows], given.span, velocity=velocity[rows]
        )
        return torch.zeros_like(velocity).index_copy(0, rows, derivative)

    def _normalised(self, tokens_BKC: Tensor) -> Tensor:
        return self._scale.to(tokens_BKC.device).normalise(tokens_BKC)
