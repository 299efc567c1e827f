"""Guidance by a weaker version of the network, with exact networks of known distributions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from textok.config.generator import GeneratorConfig, GuidanceConfig, SamplingConfig
from textok.generator import sample
from textok.types import Condition

ROWS = 2_000
MODES = torch.tensor([[1.5, 0.0], [-1.0, 1.0], [0.0, -1.5]])
"""Of the mixture, in the plane: one token of two channels."""
CONFIG = GeneratorConfig(num_tokens=1, channels=2)


class Exact(nn.Module):
    """The velocity of the flow to an even mixture of round Gaussians at ``means``."""

    def __init__(self, means: Tensor, spread: float) -> None:
        super().__init__()
        self.config, self.means, self.spread = CONFIG, means, spread
        self.place = nn.Parameter(torch.zeros(1))
        self.calls = 0

    def prepare(self, condition: Condition, times_S: Tensor) -> Tensor:
        return times_S

    def step(self, x_BKC: Tensor, index: int, prepared: Tensor) -> Tensor:
        self.calls += 1
        t = prepared[index]
        variance = (1 - t) ** 2 * self.spread**2 + t**2
        off = x_BKC - (1 - t) * self.means  # (B, modes, 2)
        share = (-off.square().sum(-1) / (2 * variance)).softmax(dim=-1)
        towards = self.means + (1 - t) * self.spread**2 / variance * off
        return (x_BKC - (share[..., None] * towards).sum(dim=1, keepdim=True)) / t


def draw(good: Exact, bad: Exact | None, *, steps: int = 64, **guidance: Any) -> Tensor:
    """(ROWS, 2), by Heun."""
    named = {"guide": "bad"} if bad else {}
    sampling = SamplingConfig(
        sampler="heun", steps=steps, guidance=GuidanceConfig(**named, **guidance)
    )
    condition = Condition(labels=torch.zeros(ROWS, dtype=torch.int64))
    tokens = sample(good, condition, sampling=sampling, seeds=range(ROWS), guide=bad)
    return tokens[:, 0]


def plain(spread: float) -> Exact:
    return Exact(torch.zeros(1, 2), spread)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1.5, 3.0])
def test_one_gaussian_shrinks_as_theory_says(scale: float) -> None:
    """Velocities are linear in x and the flow multiplies x by the deviation of the data.

    Exponents add up, so led by w away from deviation b towards g it ends at b (g / b)^w: at b
    without the good one, at g without guidance, below g beyond it.
    """
    good, bad = 0.5, 0.8
    drawn, noise = draw(plain(good), plain(bad), scale=scale), draw(plain(1.0), None, scale=1)
    expected = bad * (good / bad) ** scale
    torch.testing.assert_close(drawn, expected * noise, rtol=2e-3, atol=2e-3)
    assert drawn.std().item() == pytest.approx(expected, rel=0.05)


def test_the_output_is_that_of_the_formula_at_every_step() -> None:
    """Euler's path, taken by hand: D_bad + w (D_good - D_bad) inside the interval."""
    good, bad = Exact(MODES, 0.4), Exact(MODES, 0.9)
    guidance = GuidanceConfig(scale=2.5, low=0.3, high=0.8, guide="bad")
    sampling = SamplingConfig(sampler="euler", steps=8, guidance=guidance)
    condition = Condition(labels=torch.zeros(3, dtype=torch.int64))
    found = sample(good, condition, sampling=sampling, seeds=[1, 2, 3], guide=bad)

    times = torch.linspace(1, 0, 9)
    x = torch.stack(
        [torch.randn(1, 2, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2, 3)]
    )
    for index, t in enumerate(times[:-1].tolist()):
        own, other = good.step(x, index, times), bad.step(x, index, times)
        guided = other + 2.5 * (own - other) if 0.3 <= t <= 0.8 else own
        x = x - 0.125 * guided
    torch.testing.assert_close(found, x.detach())


def test_samples_of_a_mixture_gather_at_its_modes_and_leave_none_out() -> None:
    """With a broadened version of the network as guide; and without guidance as the data are."""
    good, bad = Exact(MODES, 0.4), Exact(MODES, 0.7)

    def nearest(drawn: Tensor) -> tuple[float, Tensor]:
        distance, mode = torch.cdist(drawn, MODES).min(dim=1)
        return distance.mean().item(), torch.bincount(mode, minlength=3) / ROWS

    (before, shares), (after, kept) = (
        nearest(draw(good, bad, scale=scale, steps=32)) for scale in (1.0, 2.0)
    )
    assert after < 0.75 * before
    # A mode of three: 0.333, give or take 0.011 by chance.
    for share in (shares, kept):
        assert share.min() > 0.28 and share.max() < 0.39


def test_the_guide_is_asked_at_guided_times_alone() -> None:
    good, bad = plain(0.5), plain(0.8)
    draw(good, bad, scale=1, steps=8)
    assert (good.calls, bad.calls) == (15, 0)
    good, bad = plain(0.5), plain(0.8)
    draw(good, bad, scale=2, steps=8, high=0.5)
    # Heun's method asks twice at each of 0.5, 0.375, 0.25 and 0.125: after a step and before one.
    assert bad.calls == 8
    assert good.calls == 15


def test_a_guide_has_to_be_there_and_alone() -> None:
    with pytest.raises(ValueError, match=r"guidance\.guide is 'bad', which only a pipeline opens"):
        sample(
            plain(1),
            Condition(labels=torch.zeros(1, dtype=torch.int64)),
            sampling=SamplingConfig(guidance=GuidanceConfig(guide="bad")),
            seeds=[0],
        )
    condition = Condition(labels=torch.zeros(1, dtype=torch.int64))
    with pytest.raises(ValueError, match="a guide takes the place of the negative prompt"):
        sample(
            plain(1),
            condition,
            sampling=SamplingConfig(),
            seeds=[0],
            negative=condition,
            guide=plain(2),
        )
