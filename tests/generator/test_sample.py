from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.generator.fake import FakeNetwork
from tests.generator.tiny import tiny_dit
from textok.config.generator import (
    GeneratorConfig,
    GuidanceConfig,
    ObjectiveConfig,
    SamplingConfig,
)
from textok.config.objective import LEAST_SHIFT, MOST_SHIFT
from textok.generator import sample
from textok.types import Condition, TextFeatures

Sampler = Literal["euler", "heun", "ddim", "dpmpp", "sde", "ddpm"]
PAIRS: list[tuple[Literal["flow", "ddpm"], Sampler]] = [
    ("flow", "euler"),
    ("flow", "heun"),
    ("flow", "ddim"),
    ("flow", "dpmpp"),
    ("flow", "sde"),
    ("ddpm", "ddim"),
    ("ddpm", "dpmpp"),
    ("ddpm", "ddpm"),
]


def network(name: Literal["flow", "ddpm"]) -> FakeNetwork:
    config = GeneratorConfig(num_tokens=3, channels=4, objective=ObjectiveConfig(name=name))
    return FakeNetwork(config)


def labels(*numbers: int) -> Condition:
    return Condition(labels=torch.tensor(numbers))


@pytest.mark.parametrize(("name", "sampler"), PAIRS)
def test_a_picture_depends_on_its_seed_and_not_on_its_batch(
    name: Literal["flow", "ddpm"], sampler: Sampler
) -> None:
    fake = network(name)
    sampling = SamplingConfig(sampler=sampler, steps=6, guidance=GuidanceConfig(scale=2, high=0.7))
    seeds, asked = [7, 8, 9, 10, 7], [0, 1, 2, 0, 1]
    batch = sample(fake, labels(*asked), sampling=sampling, seeds=seeds)
    assert batch.shape == (5, 3, 4) and batch.dtype == torch.float32 and batch.isfinite().all()
    for row, (label, seed) in enumerate(zip(asked, seeds, strict=True)):
        alone = sample(fake, labels(label), sampling=sampling, seeds=[seed])
        torch.testing.assert_close(batch[row], alone[0], rtol=0, atol=1e-5)
    turned = sample(fake, labels(*asked[::-1]), sampling=sampling, seeds=seeds[::-1])
    torch.testing.assert_close(batch.flip(0), turned, rtol=0, atol=1e-5)

    def apart(one: int, other: int) -> Tensor:
        return (batch[one] - batch[other]).abs().max()

    # Another seed, and another label.
    assert apart(0, 3) > 0.1 and apart(0, 4) > 0.01


@pytest.mark.parametrize(("name", "sampler"), PAIRS)
def test_steps_are_counted(name: Literal["flow", "ddpm"], sampler: Sampler) -> None:
    fake, done = network(name), list[int]()
    sampling = SamplingConfig(sampler=sampler, steps=5, guidance=GuidanceConfig(scale=1))
    sample(fake, labels(0, 1), sampling=sampling, seeds=[1, 2], on_step=done.append)
    assert done == [1, 2, 3, 4, 5]
    assert fake.asked.prepared == [2] and set(fake.asked.rows) == {2}
    assert len(fake.asked.rows) == (9 if sampler == "heun" else 5)


def test_the_sampler_may_shift_its_times_where_training_did_not() -> None:
    """s = 3 takes t = 1, 0.5, 0 to 1, 3 * 0.5 / (1 + 2 * 0.5) = 0.75, 0."""
    fake = network("flow")
    x = torch.randn((3, 4), generator=torch.Generator().manual_seed(3))[None]
    for t, step in ((1.0, 0.25), (0.75, 0.75)):
        x = x - step * torch.tanh(x @ fake.weight + t + 2)
    guidance = GuidanceConfig(scale=1)
    sampling = SamplingConfig(sampler="euler", steps=2, time_shift=3, guidance=guidance)
    tokens = sample(fake, labels(2), sampling=sampling, seeds=[3])
    torch.testing.assert_close(tokens, x.detach())


def test_time_shift_is_for_flows() -> None:
    sampling = SamplingConfig(sampler="ddim", time_shift=2)
    with pytest.raises(
        ValueError, match=r"time_shift is 2: it is for generators trained by 'flow'"
    ):
        sample(network("ddpm"), labels(0), sampling=sampling, seeds=[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SamplingConfig(time_shift=0),
            r"time_shift is 0: .* >= 0\.001 and <= 10",
        ),
        (lambda: SamplingConfig(time_shift=1e300), r"sampling\.time_shift is 1e\+300: .* >= 0\.00"),
        (lambda: SamplingConfig(temperature=1e300), r"sampling\.temperature is 1e\+300: .*<= 1e\+"),
        (lambda: GuidanceConfig(scale=1e30), r"guidance\.scale is 1e\+30: .* <= 1000"),
        (lambda: ObjectiveConfig(time_shift=1e-300), r"objective\.time_shift is 1e-300"),
        (lambda: ObjectiveConfig(time_mean=1e300), r"objective\.time_mean is 1e\+300"),
        (lambda: ObjectiveConfig(time_std=1e300), r"objective\.time_std is 1e\+300"),
    ],
)
def test_numbers_that_no_float_survives(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("shift", [LEAST_SHIFT, MOST_SHIFT])
@pytest.mark.parametrize("sampler", ["euler", "heun", "ddim", "dpmpp", "sde"])
def test_the_longest_shifts_give_finite_tokens(sampler: Any, shift: float) -> None:
    sampling = SamplingConfig(sampler=sampler, steps=8, time_shift=shift)
    assert sample(network("flow"), labels(0), sampling=sampling, seeds=[0]).isfinite().all()


def test_euler_steps_are_those_of_the_formula() -> None:
    fake = network("flow")
    x = torch.randn((3, 4), generator=torch.Generator().manual_seed(3))[None]
    for t in (1.0, 0.75, 0.5, 0.25):
        x = x - 0.25 * torch.tanh(x @ fake.weight + t + 2)
    sampling = SamplingConfig(sampler="euler", steps=4, guidance=GuidanceConfig(scale=1))
    tokens = sample(fake, labels(2), sampling=sampling, seeds=[3])
    torch.testing.assert_close(tokens, x.detach())
    assert not tokens.requires_grad


def test_guidance_leads_away_from_nothing_or_from_the_negative() -> None:
    fake = network("flow")

    def draw(negative: Condition | None, scale: float = 3) -> Tensor:
        sampling = SamplingConfig(steps=4, guidance=GuidanceConfig(scale=scale))
        return sample(fake, labels(0, 1), sampling=sampling, seeds=[1, 2], negative=negative)

    torch.testing.assert_close(draw(None), draw(labels(-1, -1)), rtol=0, atol=0)
    torch.testing.assert_close(draw(labels(0, 1)), draw(None, scale=1))
    assert (draw(None) - draw(labels(2, 2))).abs().max() > 0.01


def test_fresh_noise_of_ddpm_comes_from_the_seeds() -> None:
    fake = network("ddpm")
    sampling = SamplingConfig(sampler="ddpm", steps=4, guidance=GuidanceConfig(scale=1))
    torch.manual_seed(0)
    first = sample(fake, labels(0), sampling=sampling, seeds=[1])
    torch.manual_seed(1)
    torch.testing.assert_close(sample(fake, labels(0), sampling=sampling, seeds=[1]), first)


@pytest.mark.parametrize(
    ("name", "sampler", "others"),
    [
        ("flow", "ddpm", "euler, heun, ddim, dpmpp"),
        ("ddpm", "euler", "ddpm, ddim, dpmpp"),
        ("ddpm", "heun", "ddpm, ddim, dpmpp"),
    ],
)
def test_a_sampler_that_does_not_fit_is_refused(
    name: Literal["flow", "ddpm"], sampler: Sampler, others: str
) -> None:
    sampling = SamplingConfig(sampler=sampler, steps=2)
    with pytest.raises(ValueError, match=f"'{sampler}' does not fit.* use one of {others}") as info:
        sample(network(name), labels(0), sampling=sampling, seeds=[0])
    assert "\n" not in str(info.value)


def test_rows_and_seeds_are_as_many() -> None:
    with pytest.raises(ValueError, match="2 rows of condition, 1 of negative and 2 seeds"):
        sample(
            network("flow"),
            labels(0, 1),
            sampling=SamplingConfig(),
            seeds=[0, 1],
            negative=labels(2),
        )


@pytest.mark.parametrize("name", ["flow", "ddpm"])
def test_a_dit_draws_the_same_picture_alone_and_in_a_batch(name: Literal["flow", "ddpm"]) -> None:
    dit = tiny_dit(objective=ObjectiveConfig(name=name))
    mask = torch.arange(5) < torch.tensor([[5], [2], [0]])
    condition = Condition(text=TextFeatures(states=torch.randn(3, 5, 6), mask=mask))
    sampling = SamplingConfig(sampler="dpmpp", steps=4, guidance=GuidanceConfig(schedule="linear"))
    batch = sample(dit, condition, sampling=sampling, seeds=[1, 2, 3])
    alone = sample(dit, condition[1:2], sampling=sampling, seeds=[2])
    torch.testing.assert_close(batch[1:2], alone, rtol=1e-5, atol=1e-5)
    assert (batch[0] - batch[1]).abs().max() > 0.01
