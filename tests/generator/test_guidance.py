from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from tests.generator.fake import FakeNetwork
from tests.generator.tiny import tiny_dit
from textok.config.generator import GeneratorConfig, GuidanceConfig, ObjectiveConfig
from textok.generator.guidance import Output, guidance_scale, guided
from textok.types import Condition, TextFeatures

TIMES = torch.tensor([1.0, 0.75, 0.5, 0.25], dtype=torch.float64)
ASKED = Condition(labels=torch.tensor([0, 1, 2]))
OTHER = Condition(labels=torch.tensor([-1, -1, 3]))


def network(name: str = "flow") -> FakeNetwork:
    objective = ObjectiveConfig(name="flow" if name == "flow" else "ddpm")
    return FakeNetwork(GeneratorConfig(num_tokens=2, channels=4, objective=objective))


def tokens() -> Tensor:
    return torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))


def guided_output(fake: FakeNetwork, guidance: GuidanceConfig) -> Output:
    def ask(condition: Condition) -> Output:
        prepared = fake.prepare(condition, TIMES.float())
        return lambda x, index: fake.step(x, index, prepared)

    each = [guidance_scale(guidance, t) for t in TIMES.tolist()]
    return guided(ask, ASKED, OTHER, each, channels=4)


def scales(guidance: GuidanceConfig) -> list[float]:
    return [guidance_scale(guidance, t) for t in (1.0, 0.75, 0.5, 0.0)]


def test_schedules_rise_from_one_at_the_noise_to_the_scale_at_the_data() -> None:
    assert scales(GuidanceConfig(scale=5)) == [5, 5, 5, 5]
    assert scales(GuidanceConfig(scale=5, schedule="linear")) == [1, 2, 3, 5]
    cosine = GuidanceConfig(scale=5, schedule="power_cosine", power=2)
    middle = [1 + 2 * (1 - math.cos(math.pi / 16)), 1 + 2 * (1 - math.cos(math.pi / 4))]
    assert scales(cosine) == pytest.approx([1, *middle, 5])
    assert scales(GuidanceConfig(scale=0, schedule="linear")) == [1, 0.75, 0.5, 0]


def test_there_is_no_guidance_outside_the_interval() -> None:
    assert scales(GuidanceConfig(scale=5, low=0.5, high=0.8)) == [1, 5, 5, 1]
    linear = GuidanceConfig(scale=5, schedule="linear", low=0.5, high=0.75)
    assert scales(linear) == [1, 2, 3, 1]


STEPS = 8


@pytest.mark.parametrize("scale", [0.0, 3.0, 6.9])
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_added_scales_are_those_of_muse_and_titok_at_every_step(
    schedule: Literal["constant", "linear"], scale: float
) -> None:
    """They publish c + s (c - u), where a linear s is the share of the steps that is done."""
    asked, other = 0.7, -0.4
    guidance = GuidanceConfig(scale=scale, schedule=schedule, form="added")
    for step in range(STEPS):
        added = scale * step / STEPS if schedule == "linear" else scale
        ours = guidance_scale(guidance, 1 - step / STEPS)
        assert other + ours * (asked - other) == pytest.approx(asked + added * (asked - other))
        assert (ours == 1) == (added == 0)


def test_power_cosine_is_that_of_mdt_at_every_step() -> None:
    """It publishes u + s (c - u), and s = 1 + (scale - 1) (1 - cos(pi done^power)) / 2."""
    guidance = GuidanceConfig(scale=6.9, schedule="power_cosine", power=2.75)
    for step in range(STEPS):
        rise = (1 - math.cos(math.pi * (step / STEPS) ** 2.75)) / 2
        assert guidance_scale(guidance, 1 - step / STEPS) == pytest.approx(1 + 5.9 * rise)
    assert guidance_scale(guidance, 1.0) == 1


@pytest.mark.parametrize("scale", [0.0, 1.5, 4.0])
def test_the_output_is_led_away_from_the_other_on_all_channels(scale: float) -> None:
    fake, x = network(), tokens()
    output = guided_output(fake, GuidanceConfig(scale=scale))(x, 2)
    asked, other = (
        fake.step(x, 2, fake.prepare(condition, TIMES.float())) for condition in (ASKED, OTHER)
    )
    torch.testing.assert_close(output, other + scale * (asked - other))
    assert output.shape == x.shape


def test_a_learned_variance_is_that_of_the_condition() -> None:
    fake, x = network("ddpm"), tokens()
    output = guided_output(fake, GuidanceConfig(scale=3))(x, 1)
    asked, other = (
        fake.step(x, 1, fake.prepare(condition, TIMES.float())) for condition in (ASKED, OTHER)
    )
    assert output.shape == (3, 2, 8)
    torch.testing.assert_close(output[..., :4], (3 * asked - 2 * other)[..., :4])
    torch.testing.assert_close(output[..., 4:], asked[..., 4:], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("guidance", "rows", "prepared"),
    [
        (GuidanceConfig(scale=1), [3, 3, 3, 3], [3]),
        (GuidanceConfig(scale=2), [6, 6, 6, 6], [6]),
        (GuidanceConfig(scale=2, high=0.5), [3, 3, 6, 6], [3, 6]),
        (GuidanceConfig(scale=2, low=0.4, high=0.8), [3, 6, 6, 3], [3, 6]),
        (GuidanceConfig(scale=2, low=0.8, high=0.9), [3, 3, 3, 3], [3]),
        (GuidanceConfig(scale=2, schedule="linear"), [3, 6, 6, 6], [3, 6]),
    ],
)
def test_only_guided_times_pay_for_guidance(
    guidance: GuidanceConfig, rows: list[int], prepared: list[int]
) -> None:
    fake, x = network(), tokens()
    output = guided_output(fake, guidance)
    for index in range(4):
        assert output(x, index).shape == x.shape
    assert fake.asked.rows == rows
    assert sorted(fake.asked.prepared) == prepared


def test_conditions_of_captions_are_joined_at_the_longest() -> None:
    short = TextFeatures(states=torch.ones(2, 1, 3), mask=torch.tensor([[True], [False]]))
    long = TextFeatures(states=torch.full((1, 3, 3), 2.0), mask=torch.tensor([[True, True, False]]))
    joined = Condition.cat([Condition(text=short), Condition(text=long)])
    assert len(joined) == 3 and joined.text is not None
    assert joined.text.mask.int().tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 0]]
    assert joined.text.states[:, :, 0].tolist() == [[1, 0, 0], [1, 0, 0], [2, 2, 2]]
    labels = Condition.cat([ASKED, OTHER]).labels
    assert labels is not None and labels.tolist() == [0, 1, 2, -1, -1, 3]


@pytest.mark.parametrize("kind", ["class", "text"])
def test_a_pair_in_one_batch_is_two_passes_of_a_dit(kind: Literal["class", "text"]) -> None:
    """A short caption beside none of greater length too: what is padded counts for nothing."""
    dit = tiny_dit(num_tokens=2, condition=kind, pooled_text=True)
    asked, other = ASKED, OTHER
    if kind == "text":
        mask = torch.tensor([[True, True], [True, False], [False, False]])
        asked = Condition(text=TextFeatures(states=torch.randn(3, 2, 6), mask=mask))
        mask = torch.arange(5) < torch.tensor([[5], [0], [3]])
        other = Condition(text=TextFeatures(states=torch.randn(3, 5, 6), mask=mask))
    x, rows = tokens(), []

    def network(condition: Condition) -> Output:
        rows.append(len(condition))
        prepared = dit.prepare(condition, TIMES.float())
        return lambda x, index: dit.step(x, index, prepared)

    with torch.inference_mode():
        pair = guided(network, asked, other, [2.5] * 4, channels=4)(x, 1)
        assert rows == [6]
        passes = network(asked)(x, 1), network(other)(x, 1)
    torch.testing.assert_close(pair, passes[1] + 2.5 * (passes[0] - passes[1]))
