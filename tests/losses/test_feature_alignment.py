from __future__ import annotations

import math

import pytest
import torch

from textok.losses.feature_alignment import (
    cosine_loss,
    marginal_cosine_loss,
    marginal_distance_loss,
)

# Two images of two patches in the plane, at these angles in degrees.
ANGLES = torch.tensor([[0.0, 60.0], [90.0, 90.0]])
FEATURES = torch.tensor([[0.0, 0.0], [0.0, 90.0]])


def plane(degrees: torch.Tensor, *, length: float = 1.0) -> torch.Tensor:
    radians = degrees * math.pi / 180
    return length * torch.stack([radians.cos(), radians.sin()], dim=-1)


@pytest.mark.parametrize(
    ("margin", "expected"),
    # Cosines 1, 0.5, 0 and 1.
    [(0.0, (0 + 0.5 + 1 + 0) / 4), (0.25, (0 + 0.25 + 0.75 + 0) / 4), (0.5, 0.5 / 4), (1.0, 0.0)],
)
def test_marginal_cosine(margin: float, expected: float) -> None:
    # Directions count, lengths do not.
    states, features = plane(ANGLES, length=3), plane(FEATURES, length=0.2)
    found = marginal_cosine_loss(states, features, margin=margin)
    assert found.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("margin", "expected"),
    # Between the patches of an image cosines are 0.5 and 1, those of its features 1 and 0; on the
    # diagonal both are 1.
    [(0.0, 2 * (0.5 + 1) / 8), (0.25, 2 * (0.25 + 0.75) / 8), (0.5, 2 * 0.5 / 8), (1.0, 0.0)],
)
def test_marginal_distance(margin: float, expected: float) -> None:
    states, features = plane(ANGLES, length=3), plane(FEATURES, length=0.2)
    found = marginal_distance_loss(states, features, margin=margin)
    assert found.item() == pytest.approx(expected, abs=1e-6)
    turned = marginal_distance_loss(plane(ANGLES + 37), features, margin=margin)
    assert turned.item() == pytest.approx(expected, abs=1e-5)


def test_cosine() -> None:
    states, features = plane(torch.tensor([0.0, 60.0, 180.0])), plane(torch.zeros(3))
    assert cosine_loss(states, features).item() == pytest.approx((0 + 0.5 + 2) / 3, abs=1e-6)


def test_gradients_go_to_the_states_alone() -> None:
    states = plane(ANGLES).requires_grad_()
    features = plane(FEATURES + 10).requires_grad_()
    loss = marginal_cosine_loss(states, features, margin=0) + marginal_distance_loss(
        states, features, margin=0
    )
    (loss + cosine_loss(states[0], features[0])).backward()
    assert states.grad is not None and states.grad.abs().sum() > 0
    assert features.grad is None


def test_losses_are_in_float32() -> None:
    states, features = plane(ANGLES).bfloat16(), plane(FEATURES).bfloat16()
    assert marginal_cosine_loss(states, features, margin=0).dtype == torch.float32
    assert marginal_distance_loss(states, features, margin=0).dtype == torch.float32
    assert cosine_loss(states[0], features[0]).dtype == torch.float32
