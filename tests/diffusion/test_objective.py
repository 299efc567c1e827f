from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from textok.config.generator import ObjectiveConfig
from textok.diffusion.objective import Objective, objective

FLOW = ObjectiveConfig(name="flow")
DDPM = ObjectiveConfig(name="ddpm")
PLAIN_DDPM = ObjectiveConfig(name="ddpm", learn_sigma=False)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def alpha2(n: int) -> float:
    """The product of 1 - beta over steps 0 ... n, written out."""
    product = 1.0
    for step in range(n + 1):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * step / 999)
    return product


def test_flow_goes_in_a_straight_line_from_the_data_to_the_noise() -> None:
    flow = objective(FLOW)
    alpha, sigma = flow.alpha_sigma(torch.tensor([0.0, 0.25, 1.0]))
    assert alpha.tolist() == [1, 0.75, 0] and sigma.tolist() == [0, 0.25, 1]
    x0, noise = torch.full((2, 1, 3), 2.0), torch.full((2, 1, 3), -2.0)
    x = flow.add_noise(x0, noise, torch.tensor([0.25, 0.5]))
    assert x[:, 0, 0].tolist() == [1, 0]


def test_flow_loss_is_the_error_of_the_velocity_of_each_image() -> None:
    x0, noise = torch.tensor([[[1.0, 2.0]], [[0.0, 0.0]]]), torch.tensor([[[0.0, 4.0]], [[1, 1]]])
    velocity = torch.tensor([[[-1.0, 2.0]], [[1.0, 1.0]]])
    t = torch.tensor([0.3, 0.6])
    assert objective(FLOW).loss(velocity, x0, noise, t).tolist() == [0, 0]
    off = velocity + torch.tensor([[[1.0, 3.0]], [[0.0, -2.0]]])
    assert objective(FLOW).loss(off, x0, noise, t).tolist() == [5, 2]


@pytest.mark.parametrize("config", [FLOW, DDPM, PLAIN_DDPM])
def test_the_right_output_gives_the_data_back(config: ObjectiveConfig) -> None:
    learnt = objective(config)
    x0, noise, t = normal(3, 2, 4), normal(3, 2, 4, seed=1), torch.tensor([0.001, 0.4, 0.7])
    x = learnt.add_noise(x0, noise, t)
    output = noise - x0 if config.name == "flow" else noise
    if config.outputs == 2:
        output = torch.cat([output, torch.full_like(output, 7.0)], dim=-1)
    torch.testing.assert_close(learnt.x0(output, x, t), x0, rtol=0, atol=2e-6)
    # One time for all, as the samplers give it.
    same = learnt.add_noise(x0, noise, torch.tensor(0.4, dtype=torch.float64))
    assert same.dtype == torch.float32
    torch.testing.assert_close(same[1], x[1])
    back = learnt.x0(output, same, torch.tensor(0.4, dtype=torch.float64))
    torch.testing.assert_close(back, x0, rtol=0, atol=2e-6)


@pytest.mark.parametrize("config", [FLOW, DDPM])
def test_losses_of_bfloat16_outputs_are_computed_in_float32(config: ObjectiveConfig) -> None:
    output = torch.full((2, 1, config.outputs), 0.01, dtype=torch.bfloat16)
    zeros, t = torch.zeros(2, 1, 1), torch.tensor([0.2, 0.9])
    loss = objective(config).loss(output, zeros, zeros, t)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, objective(config).loss(output.float(), zeros, zeros, t))


def quantiles(learnt: Objective, at: list[float]) -> list[float]:
    """Times at these probabilities of the noise."""
    return learnt.sample_timesteps(torch.special.ndtri(torch.tensor(at))).tolist()


def test_flow_times_are_logit_normal_uniform_and_shifted() -> None:
    logit = objective(ObjectiveConfig(time_mean=-0.5, time_std=2.0))
    assert logit.sample_timesteps(torch.tensor([0.0, 1.0])).tolist() == pytest.approx(
        [1 / (1 + math.exp(0.5)), 1 / (1 + math.exp(-1.5))]
    )
    uniform = ObjectiveConfig(time_std=0, time_mean=3.0)
    assert quantiles(objective(uniform), [0.1, 0.5, 0.8]) == pytest.approx([0.1, 0.5, 0.8])
    # 3 t / (1 + 2 t)
    shifted = objective(ObjectiveConfig(time_std=0, time_shift=3.0))
    assert quantiles(shifted, [0.25, 0.5]) == pytest.approx([0.5, 0.75])
    assert shifted.times(4).tolist() == pytest.approx([1, 0.9, 0.75, 0.5, 0])
    assert objective(FLOW).times(4).tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_ddpm_draws_each_of_its_steps_equally_often() -> None:
    ddpm = objective(DDPM)
    assert quantiles(ddpm, [0.0005, 0.4005, 0.9995]) == pytest.approx([0.001, 0.401, 1])
    assert ddpm.sample_timesteps(torch.tensor([-9.0, 9.0])).tolist() == pytest.approx([0.001, 1])
    times = ddpm.sample_timesteps(torch.special.ndtri((torch.arange(2000) + 0.5) / 2000))
    assert times.unique(return_counts=True)[1].tolist() == [2] * 1000


def test_ddpm_grids_go_from_the_last_step_to_the_first_and_then_to_the_data() -> None:
    ddpm = objective(DDPM)
    assert ddpm.times(4).tolist() == pytest.approx([1, 0.667, 0.334, 0.001, 0])
    assert ddpm.times(1).tolist() == [1, 0]
    every = ddpm.times(1000)
    assert len(every) == 1001 and (every.diff() * 1000).round().unique().tolist() == [-1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ddpm_weights_are_products_of_linear_betas(dtype: torch.dtype) -> None:
    ddpm = objective(DDPM)
    n = torch.tensor([0, 1, 499, 999])
    alpha, sigma = ddpm.alpha_sigma(((n + 1) / 1000).to(dtype))
    expected = [alpha2(int(step)) for step in n]
    assert alpha.dtype == sigma.dtype == dtype
    rel = 1e-4 if dtype == torch.float32 else 1e-6
    assert (alpha**2).tolist() == pytest.approx(expected, rel=rel)
    assert (sigma**2).tolist() == pytest.approx([1 - a for a in expected], rel=rel)
    ends = ddpm.alpha_sigma(torch.tensor([0.0, 1.0], dtype=dtype))
    assert ends[0][0] == 1 and str(ends[1][0].item()) == "0.0"
    # Between two steps the signal falls evenly in its logarithm.
    middle = ddpm.alpha_sigma(torch.tensor([[0.4995], [0.5], [0.5005]], dtype=dtype))[0]
    assert middle[1].item() ** 2 == pytest.approx((middle[0] * middle[2]).item(), rel=1e-4)
    assert middle[0] > middle[1] > middle[2]


def gaussian_kl_bits(mean: float, variance: float, to_mean: float, to_variance: float) -> float:
    ratio = variance / to_variance
    return (ratio - 1 - math.log(ratio) + (mean - to_mean) ** 2 / to_variance) / 2 / math.log(2)


@pytest.mark.parametrize("n", [1, 300, 999])
def test_the_learned_variance_is_paid_for_by_the_bound(n: int) -> None:
    # One number: x_0, the noise, a wrong prediction of it, and a place between the variances.
    x0, noise, predicted, place = 0.7, -1.2, 0.3, 0.25
    now, before = alpha2(n), alpha2(n - 1)
    beta = 1 - now / before
    x = math.sqrt(now) * x0 + math.sqrt(1 - now) * noise

    def posterior_mean(x0: float) -> float:
        """arXiv 2006.11239, eq. 7."""
        keep = math.sqrt(1 - beta) * (1 - before) / (1 - now)
        return math.sqrt(before) * beta / (1 - now) * x0 + keep * x

    guess = (x - math.sqrt(1 - now) * predicted) / math.sqrt(now)
    small = beta * (1 - before) / (1 - now)
    variance = math.exp(place * math.log(beta) + (1 - place) * math.log(small))
    bound = gaussian_kl_bits(posterior_mean(x0), small, posterior_mean(guess), variance)

    output = torch.tensor([[[predicted, 2 * place - 1]]])
    t = torch.tensor([(n + 1) / 1000])
    data = torch.tensor([[[x0]]]), torch.tensor([[[noise]]])
    simple = objective(PLAIN_DDPM).loss(output[..., :1], *data, t).item()
    assert simple == pytest.approx(1.5**2)
    assert objective(DDPM).loss(output, *data, t).item() - simple == pytest.approx(bound, rel=1e-3)


def test_the_bound_of_the_first_step_borrows_the_variance_of_the_second() -> None:
    small = (1 - alpha2(1) / alpha2(0)) * (1 - alpha2(0)) / (1 - alpha2(1))
    output, zeros = torch.tensor([[[0.0, -1.0]]]), torch.zeros(1, 1, 1)
    loss = objective(DDPM).loss(output, zeros, zeros, torch.tensor([0.001]))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    output[..., 1] = 1
    loss = objective(DDPM).loss(output, zeros, zeros, torch.tensor([0.001]))
    assert loss.item() == pytest.approx(gaussian_kl_bits(0, small, 0, 1e-4), rel=1e-3)


def test_the_bound_does_not_move_the_predicted_noise() -> None:
    output = normal(4, 2, 6).requires_grad_()
    x0, noise = normal(4, 2, 3, seed=1), normal(4, 2, 3, seed=2)
    objective(DDPM).loss(output, x0, noise, torch.tensor([0.001, 0.02, 0.5, 1.0])).sum().backward()
    assert output.grad is not None
    torch.testing.assert_close(output.grad[..., :3], 2 * (output.detach()[..., :3] - noise) / 6)
    assert (output.grad[..., 3:] != 0).all()
