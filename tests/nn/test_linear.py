"""The quick linear layer gives torch's numbers, and steps aside where it must."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import textok.nn.linear as linear
from textok.nn.linear import Linear


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What went to oneDNN."""
    given: list[Tensor] = []
    quicker = Linear._quicker

    def spy(self: Linear, x: Tensor) -> bool:
        quick = quicker(self, x)
        given.extend([x] * quick)
        return quick

    monkeypatch.setattr(Linear, "_quicker", spy)
    monkeypatch.setattr(linear, "ENOUGH", 0)
    return given


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 16), (2, 3, 16)])
def test_the_numbers_are_those_of_torch(
    shape: tuple[int, ...], bias: bool, taken: list[Tensor]
) -> None:
    torch.manual_seed(0)
    layer, x = Linear(16, 24, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
        # The rows of a part of a wider tensor lie apart.
        wide = torch.randn(*shape[:-1], 40)[..., 8:24]
        torch.testing.assert_close(
            layer(wide), nn.functional.linear(wide, layer.weight, layer.bias)
        )
    assert len(taken) == (2 if torch.backends.mkldnn.is_available() else 0)


def test_gradients_autocast_and_other_types_are_left_to_torch(taken: list[Tensor]) -> None:
    layer, x = Linear(16, 24), torch.randn(3, 16)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    with torch.inference_mode():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        assert layer.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16
    assert taken == []


def test_small_products_are_left_to_torch(
    taken: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "ENOUGH", 3 * 16 * 24 + 1)
    with torch.inference_mode():
        Linear(16, 24)(torch.randn(3, 16))
    assert taken == []
