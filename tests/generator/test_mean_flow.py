"""Average velocities in a DiT: conditions, steps, what is refused, a flow to start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from textok.config import TrainGeneratorConfig
from textok.config.generator import (
    DiTShape,
    GeneratorConfig,
    GuidanceConfig,
    ObjectiveConfig,
    SamplingConfig,
)
from textok.generator import DiT
from textok.generator.initial import initial_state
from textok.generator.mean_flow import MeanFlowCondition
from textok.types import Condition, TextFeatures

CONFIG = GeneratorConfig(
    num_tokens=6, channels=3, network=DiTShape(width=32, depth=2, heads=2), text_width=10,
    text_tokens=5, classes=4, objective=ObjectiveConfig(name="meanflow"),
)  # fmt: skip
KINDS: dict[str, dict[str, object]] = {
    "class": {"condition": "class"},
    "pooled": {"pooled_text": True, "qk_norm": True},
}
TIMES = torch.tensor([0.9, 0.02, 0.4])


def make(**changes: object) -> DiT:
    """A DiT whose zeros have been left behind, as after some training."""
    torch.manual_seed(0)
    network = DiT(replace(CONFIG, **changes))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network.eval()


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def condition(network: DiT) -> Condition:
    if network.config.condition == "class":
        return Condition(labels=torch.tensor([3, -1, 0]))
    mask = torch.arange(5) < torch.tensor([5, 0, 2])[:, None]
    return Condition(text=TextFeatures(states=normal(3, 5, 10), mask=mask))


def told(**changes: float) -> MeanFlowCondition:
    numbers = {"span": 0.3, "scale": 2.0, "low": 0.1, "high": 0.8} | changes
    return MeanFlowCondition(**{name: torch.full((3,), value) for name, value in numbers.items()})


def sampling(steps: int = 1, **guidance: Any) -> SamplingConfig:
    return SamplingConfig(sampler="meanflow", steps=steps, guidance=GuidanceConfig(**guidance))


@pytest.mark.parametrize("kind", KINDS)
def test_each_condition_has_an_influence_and_starts_with_none(kind: str) -> None:
    network = make(**KINDS[kind])
    asked, x = condition(network), normal(3, 6, 3)
    base = network(x, TIMES, asked, mean_flow=told())
    assert base.shape == (3, 6, 6)
    for changes in ({"span": 0.9}, {"scale": 7.0}, {"low": 0.5}, {"high": 1.0}):
        changed = network(x, TIMES, asked, mean_flow=told(**changes))
        assert (changed - base).abs().max() > 1e-3, changes
    assert network.mean_flow is not None
    network.mean_flow.init_weights()
    torch.testing.assert_close(
        network(x, TIMES, asked, mean_flow=told(span=0.9, scale=7.0)),
        network(x, TIMES, asked, mean_flow=told()),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_a_flow_starts_average_velocities_at_its_velocity(kind: str) -> None:
    """Both outputs are the flow's, under all conditions, but for the order of additions."""
    flow = make(**KINDS[kind], objective=ObjectiveConfig(name="flow"))
    torch.manual_seed(7)
    new = DiT(replace(CONFIG, **KINDS[kind])).eval()  # type: ignore[arg-type]
    new.load_state_dict(initial_state(new, flow, where="flow"))
    asked, x = condition(flow), normal(3, 6, 3)
    expected = flow(x, TIMES, asked)
    for conditions in (told(span=0.0, scale=1.0, low=0.0, high=1.0), told()):
        average, velocity = new(x, TIMES, asked, mean_flow=conditions).chunk(2, dim=-1)
        torch.testing.assert_close(average, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(velocity, expected, rtol=1e-6, atol=1e-6)
    assert expected.abs().max() > 0.1
    with pytest.raises(
        ValueError, match=r"^init x: it was trained by meanflow, .* is flow, .*: set it to meanflow"
    ):
        initial_state(flow, new, where="init x")
    by_ddpm = make(**KINDS[kind], objective=ObjectiveConfig(name="ddpm", learn_sigma=False))
    for other in (flow, new):
        with pytest.raises(ValueError, match=r"^init x: it was trained by ddpm, .* to ddpm$"):
            initial_state(other, by_ddpm, where="init x")
    assert initial_state(new, new, where="new").keys() == new.state_dict().keys()


def test_time_keeps_its_frequencies() -> None:
    other, new = make(time_frequency=200.0), make()
    with pytest.raises(ValueError, match=r"^init flow: its time_frequency is 200, .* to 200$"):
        initial_state(new, other, where="init flow")
    other.load_state_dict(new.state_dict())
    asked, x = condition(new), normal(3, 6, 3)
    # 200 t at t is 1000 t at t / 5.
    torch.testing.assert_close(
        other(x, TIMES, asked, mean_flow=told()), new(x, TIMES / 5, asked, mean_flow=told())
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_steps_are_those_of_the_formula_in_one_pass_each(kind: str, steps: int) -> None:
    """z_r = z_t - (t - r) u(z_t, r, t), whose guidance doubles no row."""
    network = make(**KINDS[kind])
    asked, done, rows = condition(network), list[int](), list[int]()
    step = network.step

    def counted(x: Tensor, index: int, prepared: Any) -> Tensor:
        rows.append(len(x))
        return step(x, index, prepared)

    network.step = counted  # type: ignore[method-assign]
    drawn = network.sample(
        asked,
        sampling=sampling(steps, scale=3, low=0.2, high=0.7),
        seeds=[4, 5, 6],
        on_step=done.append,
    )
    assert done == list(range(1, steps + 1)) and rows == [3] * steps
    x = torch.stack([normal(6, 3, seed=seed) for seed in (4, 5, 6)])
    for index in range(steps):
        conditions = told(span=1 / steps, scale=3.0, low=0.2, high=0.7)
        t = torch.full((3,), 1 - index / steps)
        x = x - 1 / steps * network(x, t, asked, mean_flow=conditions)[..., :3]
    torch.testing.assert_close(drawn, x, rtol=1e-4, atol=1e-5)


def test_an_added_scale_comes_on_top_of_one() -> None:
    network = make(condition="class")
    asked = condition(network)
    added, total = (
        network.sample(asked, sampling=sampling(scale=scale, form=form), seeds=[1, 2, 3])
        for scale, form in ((1.5, "added"), (2.5, "total"))
    )
    assert torch.equal(added, total)


def test_a_time_shift_moves_the_steps() -> None:
    """s = 3 takes t = 1, 0.5, 0 to 1, 0.75, 0."""
    network = make(condition="class")
    asked = condition(network)
    shifted = replace(sampling(2, scale=1), time_shift=3)
    x = torch.stack([normal(6, 3, seed=seed) for seed in (4, 5, 6)])
    for t, span in ((1.0, 0.25), (0.75, 0.75)):
        conditions = told(span=span, scale=1.0, low=0.0, high=1.0)
        x = x - span * network(x, torch.full((3,), t), asked, mean_flow=conditions)[..., :3]
    drawn = network.sample(asked, sampling=shifted, seeds=[4, 5, 6])
    torch.testing.assert_close(drawn, x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (sampling(scale=8.5), r"^guidance.scale is 8.5: .* has learnt 1 \(none\) to 8$"),
        (sampling(scale=0.5), r"^guidance.scale is 0.5: "),
        (sampling(scale=7.5, form="added"), r"to 8 in all, of which 1 is added$"),
        (sampling(schedule="linear"), r"^guidance.schedule is 'linear': .* leave it out$"),
        (sampling(low=0.6), r"^guidance.low 0.6 and guidance.high 1: "),
        (sampling(high=0.4), r"^guidance.low 0 and guidance.high 0.4: "),
        (sampling(guide="weak"), r"^guidance.guide is 'weak': .* leave it out$"),
        (SamplingConfig(), r"'euler' does not fit a .* by 'meanflow': use meanflow$"),
    ],
)
def test_sampling_that_was_not_learnt_is_one_line(asked: SamplingConfig, message: str) -> None:
    network = make(condition="class")
    with pytest.raises(ValueError, match=message) as refused:
        network.sample(condition(network), sampling=asked, seeds=[1, 2, 3])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda n: n.sample(condition(n), sampling=sampling(), seeds=[1, 2]),
            "^3 rows of condition and 2 seeds",
        ),
        (
            lambda n: n.sample(
                condition(n), sampling=sampling(), seeds=[1, 2, 3], negative=condition(n)
            ),
            "^negative: .* leave the negative prompt or class out$",
        ),
        (
            lambda n: n.sample(condition(n), sampling=sampling(), seeds=[1, 2, 3], guide=n),
            "^guide: a generator trained by 'meanflow' takes none$",
        ),
    ],
)
def test_what_does_not_go_with_it_is_one_line(call: Callable[[DiT], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(make(condition="class"))


def test_a_flow_is_not_drawn_by_it() -> None:
    flow = replace(CONFIG, objective=ObjectiveConfig())
    with pytest.raises(ValueError, match=r"'meanflow' does not fit .* 'flow': use one of euler"):
        flow.check_sampling(sampling())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"equal_times": 1.1}, r"objective\.equal_times is 1\.1"),
        ({"max_guidance": 0.9}, r"objective\.max_guidance is 0\.9"),
        ({"error_power": -0.5}, r"objective\.error_power is -0\.5"),
    ],
)
def test_settings_have_ranges(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ObjectiveConfig(name="meanflow", **changes)  # type: ignore[arg-type]


def test_what_is_not_said_is_the_objective_s_own() -> None:
    assert ObjectiveConfig().time_mean == 0
    assert ObjectiveConfig(name="meanflow").time_mean == -0.4
    assert ObjectiveConfig(name="meanflow", time_mean=0.0).time_mean == 0
    drawn = TrainGeneratorConfig(generator=CONFIG).sampling
    assert (drawn.sampler, drawn.steps, drawn.guidance.scale) == ("meanflow", 1, 3)
    plain = replace(CONFIG, objective=ObjectiveConfig(name="meanflow", max_guidance=1))
    assert TrainGeneratorConfig(generator=plain).sampling.guidance.scale == 1
    assert CONFIG.facts()["trained by"] == "meanflow (arXiv 2512.02012)"
