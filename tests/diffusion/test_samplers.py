"""Samplers against a mixture of Gaussians, whose best predictions are known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from einops import rearrange
from torch import Tensor

from textok.config.generator import ObjectiveConfig
from textok.diffusion.objective import Objective, objective
from textok.diffusion.samplers import ancestral, ddim, dpmpp, euler, heun

FLOW = objective(ObjectiveConfig(name="flow"))
DDPM = objective(ObjectiveConfig(name="ddpm"))

Path = Callable[[Tensor], tuple[Tensor, Tensor]]
Predict = Callable[[Tensor, int], Tensor]

MEANS = torch.tensor([[1.5, 0.5, -1.0, 0.0], [-1.0, 1.0, 0.5, 0.3], [0.0, -1.5, 0.0, 1.0]]).double()
WEIGHTS = torch.tensor([0.5, 0.3, 0.2]).double()
SPREAD = 0.7
"""Three clouds of this deviation, as K = 2 tokens of C = 2 numbers."""


def mixture_x0(x_BKC: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """E[x_0 | x]."""
    x = rearrange(x_BKC, "B K C -> B 1 (K C)")
    variance = alpha**2 * SPREAD**2 + sigma**2
    off = x - alpha * MEANS
    share = (WEIGHTS.log() - off.square().sum(-1) / (2 * variance)).softmax(-1)
    data = (share[..., None] * (MEANS + alpha * SPREAD**2 / variance * off)).sum(1)
    return rearrange(data, "B (K C) -> B K C", C=2)


def predictor(alpha_sigma: Path, times: Tensor) -> Predict:
    return lambda x, index: mixture_x0(x, *alpha_sigma(times[index]))


def velocity(times: Tensor) -> Predict:
    """Of the straight path."""
    x0 = predictor(FLOW.alpha_sigma, times)
    return lambda x, index: (x - x0(x, index)) / times[index]


def draw(name: str, alpha_sigma: Path, x: Tensor, times: Tensor) -> Tensor:
    """Where the sampler of that name ends."""
    if name in ("euler", "heun"):
        *_, last = {"euler": euler, "heun": heun}[name](velocity(times), x, times)
    else:
        x0 = predictor(alpha_sigma, times)
        *_, last = {"ddim": ddim, "dpmpp": dpmpp}[name](x0, x, times, alpha_sigma)
    return last


def grid(steps: int) -> Tensor:
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def normal(rows: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 2, 2, generator=generator, dtype=torch.float64)


def check_moments(samples: Tensor, *, mean: float, covariance: float) -> None:
    """Those of the mixture, up to these tolerances."""
    flat = rearrange(samples, "B K C -> B (K C)")
    centre = WEIGHTS @ MEANS
    between = (MEANS - centre).T @ torch.diag(WEIGHTS) @ (MEANS - centre)
    expected = between + SPREAD**2 * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(flat.mean(0), centre, rtol=0, atol=mean)
    torch.testing.assert_close(flat.T.cov(), expected, rtol=0, atol=covariance)


@pytest.mark.parametrize(
    ("name", "learnt"),
    [
        ("euler", FLOW),
        ("heun", FLOW),
        ("ddim", FLOW),
        ("dpmpp", FLOW),
        ("ddim", DDPM),
        ("dpmpp", DDPM),
    ],
)
def test_samples_have_the_mean_and_covariance_of_the_data(name: str, learnt: Objective) -> None:
    samples = draw(name, learnt.alpha_sigma, normal(8000), learnt.times(64))
    check_moments(samples, mean=0.05, covariance=0.09)


def test_flow_samples_with_shifted_times_have_them_too() -> None:
    times = objective(ObjectiveConfig(time_shift=0.4)).times(64)
    samples = draw("heun", FLOW.alpha_sigma, normal(8000), times)
    check_moments(samples, mean=0.05, covariance=0.09)


def even_lambda(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha^2 + sigma^2 = 1 and log(alpha / sigma) falling from 4 to -4 in equal steps."""
    at = 8 * (1 - 2 * t)
    return at.sigmoid().sqrt(), (-at).sigmoid().sqrt()


@pytest.mark.parametrize(
    ("name", "alpha_sigma", "order", "band"),
    [
        ("euler", FLOW.alpha_sigma, 1, 0.05),
        ("ddim", FLOW.alpha_sigma, 1, 0.05),
        ("ddim", DDPM.alpha_sigma, 1, 0.05),
        ("ddim", even_lambda, 1, 0.05),
        ("heun", FLOW.alpha_sigma, 2, 0.1),
        ("dpmpp", even_lambda, 2, 0.1),
        # Near both ends lambda's steps do not shrink with their number: a logarithm is lost.
        ("dpmpp", FLOW.alpha_sigma, 2, 0.35),
    ],
)
def test_error_falls_with_the_order_of_the_sampler(
    name: str, alpha_sigma: Path, order: int, band: float
) -> None:
    x = normal(200)
    truth = draw("heun" if alpha_sigma == FLOW.alpha_sigma else "dpmpp", alpha_sigma, x, grid(2048))
    few, many = (
        (draw(name, alpha_sigma, x, grid(steps)) - truth).square().mean().sqrt().item()
        for steps in (32, 256)
    )
    assert math.log2(few / many) / 3 == pytest.approx(order, abs=band)
    assert many < 0.01


@pytest.mark.parametrize("learnt", [FLOW, DDPM])
def test_dpmpp_is_nearer_than_ddim_at_any_usual_number_of_steps(learnt: Objective) -> None:
    x = normal(200)
    fine = FLOW.times(2048) if learnt is FLOW else torch.cat([grid(6000)[:-6], grid(1)[1:]])
    truth = draw("heun" if learnt is FLOW else "ddim", learnt.alpha_sigma, x, fine)
    for steps in (5, 8, 10, 15, 25, 50, 100):
        ddim, dpmpp = (
            (draw(name, learnt.alpha_sigma, x, learnt.times(steps)) - truth).abs().mean().item()
            for name in ("ddim", "dpmpp")
        )
        assert dpmpp < 0.95 * ddim, steps


def test_ddim_on_a_flow_is_eulers_method() -> None:
    x, times = normal(50), objective(ObjectiveConfig(time_shift=2.0)).times(7)
    torch.testing.assert_close(
        draw("ddim", FLOW.alpha_sigma, x, times), draw("euler", FLOW.alpha_sigma, x, times)
    )


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("learnt", [FLOW, DDPM])
def test_one_or_two_steps_of_dpmpp_are_those_of_ddim(learnt: Objective, steps: int) -> None:
    x, times = normal(50), learnt.times(steps)
    ddim, dpmpp = (draw(name, learnt.alpha_sigma, x, times) for name in ("ddim", "dpmpp"))
    torch.testing.assert_close(ddim, dpmpp)
    if steps == 1:
        alpha_sigma = learnt.alpha_sigma(torch.tensor(1.0, dtype=torch.float64))
        torch.testing.assert_close(dpmpp, mixture_x0(x, *alpha_sigma))


@pytest.mark.parametrize(
    ("sampler", "asked"), [(euler, [0, 1, 2]), (heun, [0, 1, 1, 2, 2]), (ddim, [0, 1, 2])]
)
def test_networks_are_asked_at_times_of_the_grid_before_the_last(
    sampler: Callable[..., Iterator[Tensor]], asked: list[int]
) -> None:
    indices: list[int] = []

    def predict(x: Tensor, index: int) -> Tensor:
        indices.append(index)
        return x

    weights = [FLOW.alpha_sigma] if sampler is ddim else []
    assert len(list(sampler(predict, normal(2), grid(3), *weights))) == 3
    assert indices == asked


@pytest.mark.parametrize(("learnt", "spread"), [(DDPM, 0.5), (FLOW, 0.0)])
@pytest.mark.parametrize("steps", [64, 250])
def test_ancestral_samples_have_the_mean_and_covariance_of_the_data(
    steps: int, learnt: Objective, spread: float
) -> None:
    times, generator = learnt.times(steps), torch.Generator().manual_seed(1)
    x0 = predictor(learnt.alpha_sigma, times)

    def noise() -> Tensor:
        return torch.randn(4000, 2, 2, generator=generator, dtype=torch.float64)

    def predict(x: Tensor, index: int) -> tuple[Tensor, Tensor]:
        return x0(x, index), torch.tensor(spread)

    *_, samples = ancestral(predict, noise(), times, learnt.alpha_sigma, noise)
    # Steps of a flow's even times are longer, in lambda, at both ends.
    check_moments(samples, mean=0.07, covariance=0.09 if learnt is DDPM or steps > 64 else 0.15)


def test_a_step_of_the_sde_of_a_flow_by_hand() -> None:
    """From t = 0.5 to 0.25: forward, x_t = (2/3) x_s + noise of variance 1/4 - (4/9) / 16 = 2/9."""
    times = torch.tensor([0.5, 0.25, 0.0], dtype=torch.float64)
    x, data = torch.full((1, 1, 1), 2.0).double(), torch.full((1, 1, 1), 1.0).double()
    first, last = ancestral(
        lambda x, index: (data, torch.tensor(0.0)), x, times, FLOW.alpha_sigma, lambda: 3 * data
    )
    # Mean (3/4 * 2/9 * 1 + 2/3 * 1/16 * 2) / (1/4) = 1; variance 2/9 * (1/16) / (1/4) = 1/18.
    assert first.item() == pytest.approx(1 + 3 * (1 / 18) ** 0.5)
    assert last.item() == pytest.approx(1)


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_ancestral_steps_add_the_variance_between_the_posteriors_and_beta(spread: float) -> None:
    times = torch.tensor([0.6, 0.2, 0.0], dtype=torch.float64)
    (alpha, sigma), before = DDPM.alpha_sigma(times[0]), DDPM.alpha_sigma(times[1])
    beta = 1 - (alpha / before[0]) ** 2
    posterior = beta * before[1] ** 2 / sigma**2
    x, data = normal(3), normal(3, seed=1)
    asked = 0

    def noise() -> Tensor:
        nonlocal asked
        asked += 1
        return torch.full((3, 2, 2), 2.0, dtype=torch.float64)

    def predict(x: Tensor, index: int) -> tuple[Tensor, Tensor]:
        return data, torch.tensor(spread, dtype=torch.float64)

    first, last = ancestral(predict, x, times, DDPM.alpha_sigma, noise)
    # arXiv 2006.11239, eq. 7, over one long step.
    mean = before[0] * beta * data + alpha / before[0] * before[1] ** 2 * x
    deviation = (beta**spread * posterior ** (1 - spread)).sqrt()
    torch.testing.assert_close(first, mean / sigma**2 + 2 * deviation)
    torch.testing.assert_close(last, data)
    assert asked == 1
