from __future__ import annotations

from math import exp, log

import pytest
import torch

from textok.losses.adversarial import LeCAM, discriminator_loss, generator_loss

REAL = torch.tensor([2.0, 0.5, -1.0])
FAKE = torch.tensor([-2.0, 0.0, 1.0])


def softplus(x: float) -> float:
    return log(1 + exp(x))


def test_hinge_losses() -> None:
    # relu(1 - real) = 0, .5, 2; relu(1 + fake) = 0, 1, 2.
    assert discriminator_loss(REAL, FAKE, kind="hinge").item() == pytest.approx((2.5 / 3 + 1) / 2)
    assert generator_loss(FAKE, kind="hinge").item() == pytest.approx(1 / 3)


def test_non_saturating_losses() -> None:
    on_real = (softplus(-2) + softplus(-0.5) + softplus(1)) / 3
    on_fake = (softplus(-2) + softplus(0) + softplus(1)) / 3
    total = discriminator_loss(REAL, FAKE, kind="non_saturating").item()
    assert total == pytest.approx(on_real + on_fake)
    expected = (softplus(2) + softplus(0) + softplus(-1)) / 3
    assert generator_loss(FAKE, kind="non_saturating").item() == pytest.approx(expected)


def test_losses_of_bfloat16_logits_are_computed_in_float32() -> None:
    fake = torch.full((1000,), 0.01, dtype=torch.bfloat16)
    loss = generator_loss(fake, kind="non_saturating")
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(softplus(-fake[0].item()), rel=1e-6)


def test_lecam_punishes_each_logit_beyond_the_other_average() -> None:
    lecam = LeCAM(decay=0.9)
    real = torch.tensor([1.0, 3.0, -1.0], requires_grad=True)
    fake = torch.tensor([-1.0, -2.0, 0.5], requires_grad=True)
    # Averages 0 and 0: (1 + 9 + 0) / 3 + (1 + 4 + 0) / 3.
    assert lecam(real, fake).item() == pytest.approx(5)
    lecam.update(torch.tensor(2.0), torch.tensor(-1.5))
    assert lecam.ema_real.item() == pytest.approx(0.2)
    assert lecam.ema_fake.item() == pytest.approx(-0.15)
    # (1.15^2 + 3.15^2 + 0) / 3 + (1.2^2 + 2.2^2 + 0) / 3.
    penalty = lecam(real, fake)
    assert penalty.item() == pytest.approx((11.245 + 6.28) / 3)
    penalty.backward()
    assert real.grad is not None and real.grad.tolist() == pytest.approx([2.3 / 3, 2.1, 0])
    assert fake.grad is not None and fake.grad.tolist() == pytest.approx([-0.8, -4.4 / 3, 0])


def test_lecam_of_two_halves_is_the_mean_of_theirs() -> None:
    lecam = LeCAM()
    halves = [lecam(REAL[:2], FAKE[:2]).item(), lecam(REAL[1:], FAKE[1:]).item()]
    whole = lecam(torch.cat([REAL[:2], REAL[1:]]), torch.cat([FAKE[:2], FAKE[1:]])).item()
    assert whole == pytest.approx(sum(halves) / 2)


def test_lecam_does_not_punish_what_lies_within_the_averages() -> None:
    lecam = LeCAM()
    lecam.load_state_dict({"ema_real": torch.tensor(-1.0), "ema_fake": torch.tensor(1.0)})
    assert lecam(torch.tensor([0.5]), torch.tensor([-0.5])).item() == 0


def test_lecam_state_is_saved() -> None:
    first, second = LeCAM(), LeCAM()
    first.update(torch.tensor(5.0), torch.tensor(-3.0))
    assert set(first.state_dict()) == {"ema_real", "ema_fake"}
    second.load_state_dict(first.state_dict())
    assert second(REAL, FAKE).item() == first(REAL, FAKE).item() != LeCAM()(REAL, FAKE).item()
