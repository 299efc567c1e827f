from __future__ import annotations

from math import exp, log

import pytest
import torch
from torch import nn

from textok.losses.adversarial import (
    LeCAM,
    adaptive_weight,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from textok.losses.discriminator import PatchGANDiscriminator, StyleGANDiscriminator

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


def test_the_adaptive_weight_is_the_ratio_of_the_gradients_at_the_last_layer() -> None:
    """A decoder whose last layer has the weights (2, 1), on the inputs (3, 4)."""
    last = torch.tensor([2.0, 1.0], requires_grad=True)
    pixel = last @ torch.tensor([3.0, 4.0])  # 10, with the gradient (3, 4) of length 5
    loss, gan = (pixel - 8).square(), -0.5 * pixel  # slopes 4 and -0.5: gradients of 20 and 2.5
    weight = adaptive_weight(loss, gan, last)
    assert weight.item() == pytest.approx(20 / (2.5 + 1e-4))
    assert not weight.requires_grad and last.grad is None
    (loss + weight * gan).backward()  # the graph is still there
    assert last.grad is not None
    assert last.grad.tolist() == pytest.approx([(4 - 0.5 * weight.item()) * x for x in (3, 4)])


def test_the_adaptive_weight_has_a_limit_and_may_be_nothing() -> None:
    last = torch.tensor([2.0], requires_grad=True)
    pixel, elsewhere = last.sum(), torch.tensor(1.0, requires_grad=True)
    assert adaptive_weight(12 * pixel, 0 * pixel, last).item() == 1e4
    assert adaptive_weight(elsewhere * 3, pixel, last).item() == 0


@pytest.mark.parametrize("autocast", [False, True])
def test_r1_of_a_linear_discriminator_is_the_square_of_its_weights(autocast: bool) -> None:
    layer = nn.Linear(12, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(12.0)[None] / 10)
    discriminator = nn.Sequential(nn.Flatten(), layer)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        penalty = gradient_penalty(discriminator, torch.randn(5, 3, 2, 2))
    assert penalty.item() == pytest.approx(5.06)  # (0 + 1 + 4 + ... + 121) / 100
    penalty.backward()
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, 2 * layer.weight)


def test_r1_sums_the_logits_of_an_image_over_its_patches() -> None:
    """Each pixel has a logit of its own, and the gradient there is the three weights."""
    layer = nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, 3.0])[None, :, None, None])
    penalty = gradient_penalty(layer, torch.randn(5, 3, 2, 2))
    assert penalty.item() == pytest.approx(4 * 14)


@pytest.mark.parametrize(
    "discriminator",
    [PatchGANDiscriminator(channel_max=32), StyleGANDiscriminator(image_size=32, channel_max=16)],
)
def test_r1_reaches_the_weights_of_every_discriminator(discriminator: nn.Module) -> None:
    gradient_penalty(discriminator, torch.randn(2, 3, 32, 32)).backward()
    slopes = {name: p.grad for name, p in discriminator.named_parameters() if "weight" in name}
    assert all(slope is not None and slope.abs().sum() > 0 for slope in slopes.values())
