"""Average velocities of a Gaussian, which are known; of a DiT, by finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from textok.config.generator import DiTShape, GeneratorConfig, ObjectiveConfig
from textok.diffusion.broadcast import over_tokens
from textok.diffusion.mean_flow import balanced, compound, derivative_along, guided_velocity
from textok.generator import DiT
from textok.generator.mean_flow import MeanFlowCondition
from textok.types import Condition, TextFeatures

MEAN, DEVIATION = 0.7, 0.4


def normal(*shape: int, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draws, dtype=torch.float64)


def deviation(t: Tensor) -> Tensor:
    """Of z_t = (1 - t) x + t e, with x of MEAN and DEVIATION."""
    return over_tokens(((1 - t) ** 2 * DEVIATION**2 + t**2).sqrt())


def earlier(z: Tensor, t: Tensor, r: Tensor) -> Tensor:
    """Where the flow's path through z at t was at r: as many deviations from the mean."""
    off = z - over_tokens(1 - t) * MEAN
    return over_tokens(1 - r) * MEAN + deviation(r) / deviation(t) * off


def average(z: Tensor, t: Tensor, span: Tensor) -> Tensor:
    return (z - earlier(z, t, t - span)) / over_tokens(span)


def velocity(z: Tensor, t: Tensor) -> Tensor:
    """E[e - x | z_t = z]."""
    off = z - over_tokens(1 - t) * MEAN
    slope = over_tokens(t - (1 - t) * DEVIATION**2) / deviation(t) ** 2
    return slope * off - MEAN


TIMES = torch.tensor([1.0, 0.9, 0.5, 0.31, 1.0], dtype=torch.float64)
SPANS = torch.tensor([1.0, 0.3, 0.5, 0.01, 0.2], dtype=torch.float64)


def test_the_identity_holds_for_the_exact_average_velocity_of_a_gaussian() -> None:
    z = normal(5, 3, 2)
    v = velocity(z, TIMES)
    derivative = derivative_along(average, z, TIMES, SPANS, velocity=v)
    implied = compound(average(z, TIMES, SPANS), derivative, SPANS)
    torch.testing.assert_close(implied, v, rtol=0, atol=1e-6)
    # Along another direction, or with the span left as it is, it does not.
    off = derivative_along(average, z, TIMES, SPANS, velocity=v + 0.1)
    assert (compound(average(z, TIMES, SPANS), off, SPANS) - v).abs().max() > 0.01
    off = derivative_along(lambda z, t, _: average(z, t, SPANS), z, TIMES, SPANS, velocity=v)
    assert (compound(average(z, TIMES, SPANS), off, SPANS) - v).abs().max() > 0.1


def test_one_step_of_the_exact_average_velocity_reaches_the_data() -> None:
    noise, one = normal(4_000, 1, 1), torch.ones(4_000, dtype=torch.float64)
    data = noise - average(noise, one, one)
    torch.testing.assert_close(data, MEAN + DEVIATION * noise)


def test_only_u_is_trained_by_the_identity() -> None:
    u, derivative = normal(5, 3, 2).requires_grad_(), normal(5, 3, 2, seed=1).requires_grad_()
    compound(u, derivative, SPANS).sum().backward()
    assert u.grad is not None and torch.equal(u.grad, torch.ones_like(u))
    assert derivative.grad is None


def test_the_fixed_point_of_the_guided_target_is_classifier_free_guidance() -> None:
    plain, nothing = normal(5, 3, 2), normal(5, 3, 2, seed=1)
    scale = torch.tensor([1.0, 1.5, 2.0, 4.0, 8.0], dtype=torch.float64)
    guided = plain
    for _ in range(400):
        guided = guided_velocity(plain, guided, nothing, scale)
    torch.testing.assert_close(guided, nothing + over_tokens(scale) * (plain - nothing))
    assert torch.equal(guided_velocity(plain, nothing, guided, scale)[0], plain[0])


def test_rows_weigh_the_same() -> None:
    """|e|^2 / (|e|^2 + 0.01), whose gradient 2 e / (|e|^2 + 0.01) leaves out the divisor's."""
    error = torch.tensor([[[3.0, 4.0]], [[0.1, 0.0]], [[0.0, 0.0]]], requires_grad=True)
    loss = balanced(error)
    torch.testing.assert_close(loss, torch.tensor([25 / 25.01, 0.5, 0]))
    loss.sum().backward()
    assert error.grad is not None
    torch.testing.assert_close(error.grad[:, 0, 0], torch.tensor([6 / 25.01, 0.2 / 0.02, 0]))
    # The mean square itself with power 0; with 1/2 that over the root of it and of the offset.
    torch.testing.assert_close(balanced(error, 0), torch.tensor([12.5, 0.005, 0]))
    half = torch.tensor([12.5 / math.sqrt(12.505), 0.005 / 0.1, 0])
    torch.testing.assert_close(balanced(error, 0.5), half)


SHAPE: dict[str, dict[str, object]] = {
    "class": {"condition": "class"},
    "text": {},
    "pooled": {"pooled_text": True},
}


def network(**changes: object) -> DiT:
    torch.manual_seed(0)
    config = GeneratorConfig(
        num_tokens=6, channels=3, network=DiTShape(width=32, depth=2, heads=2), text_width=10,
        text_tokens=5, classes=4, qk_norm=True, objective=ObjectiveConfig(name="meanflow"),
        **changes,
    )  # type: ignore[arg-type]  # fmt: skip
    made = DiT(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return made.double().eval()


def of_network(made: DiT, rows: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Its output for z, t and span, all else as it is."""
    if made.config.condition == "class":
        condition = Condition(labels=torch.arange(rows) % 4 - 1)
    else:
        mask = torch.arange(5) < torch.tensor([5, 0, 2, 1, 3])[:rows, None]
        condition = Condition(text=TextFeatures(states=normal(rows, 5, 10, seed=3), mask=mask))
    scale, low = 1 + normal(rows, seed=4).abs(), normal(rows, seed=5).abs().clamp(max=0.5)

    def output(z: Tensor, t: Tensor, span: Tensor) -> Tensor:
        told = MeanFlowCondition(span=span, scale=scale, low=low, high=1 - low)
        return made(z, t, condition, mean_flow=told)

    return output


@pytest.mark.parametrize("kind", SHAPE)
def test_the_derivative_of_a_dit_is_that_of_finite_differences(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is rounded to float32 on the way.
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    u, z, v = of_network(network(**SHAPE[kind]), 5), normal(5, 6, 3), normal(5, 6, 3, seed=1)
    found = derivative_along(u, z, TIMES, SPANS, velocity=v)
    h = 1e-6
    after, before = (u(z + s * v, TIMES + s, SPANS + s) for s in (h, -h))
    torch.testing.assert_close(found, (after - before) / (2 * h), rtol=1e-4, atol=1e-4)
    assert found.abs().max() > 1 and not found.requires_grad


def test_the_plain_attention_inside_gives_what_the_fused_one_gives() -> None:
    u = of_network(network(condition="class").float(), 5)
    z, t, span = normal(5, 6, 3).float(), TIMES.float(), SPANS.float()
    seen = list[Tensor]()

    def noted(z: Tensor, t: Tensor, span: Tensor) -> Tensor:
        seen.append(u(z, t, span))
        return seen[0]

    derivative_along(noted, z, t, span, velocity=torch.ones_like(z))
    torch.testing.assert_close(seen[0], u(z, t, span), rtol=1e-5, atol=1e-5)
