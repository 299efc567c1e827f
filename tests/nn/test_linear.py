"""The quick linear layer gives torch's numbers, and steps aside where it must."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

import textok.nn.linear as linear
from textok.nn.block import MLP
from textok.nn.linear import Linear, use_packed


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What went to oneDNN."""
    given: list[Tensor] = []
    quicker = Linear.quicker

    def spy(self: Linear, x: Tensor) -> bool:
        quick = quicker(self, x)
        given.extend([x] * quick)
        return quick

    monkeypatch.setattr(Linear, "quicker", spy)
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


def test_forward_derivatives_are_left_to_torch(taken: list[Tensor]) -> None:
    torch.manual_seed(0)
    block, x, along = MLP(16), torch.randn(3, 16), torch.randn(3, 16)
    with torch.no_grad():
        with forward_ad.dual_level():
            tangent = forward_ad.unpack_dual(block(forward_ad.make_dual(x, along))).tangent
        step = 1e-2
        expected = (block(x + step * along) - block(x - step * along)) / (2 * step)
    assert tangent is not None
    torch.testing.assert_close(tangent, expected, rtol=1e-3, atol=1e-4)


def test_small_products_are_left_to_torch(
    taken: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "ENOUGH", 3 * 16 * 24 + 1)
    with torch.inference_mode():
        Linear(16, 24)(torch.randn(3, 16))
    assert taken == []


def add_through_data(layer: Linear) -> None:
    """As adapters are merged."""
    layer.weight.data += 1.0


def replace_weight(layer: Linear) -> None:
    layer.weight = nn.Parameter(layer.weight.detach() + 1.0)


@torch.no_grad()
def add_in_place(layer: Linear) -> None:
    layer.weight += 1.0


def load(layer: Linear) -> None:
    layer.load_state_dict({"weight": layer.weight + 1.0, "bias": layer.bias})


def there_and_back(layer: Linear) -> None:
    layer.to(torch.bfloat16).to(torch.float32)


@pytest.mark.parametrize("shape", [(16, 24), (24, 16), (16, 16), (1, 5), (5, 1), (7, 3)])
def test_a_row_or_column_of_packed_weights_changed_through_data_is_noticed(
    shape: tuple[int, int],
) -> None:
    weight = torch.zeros(shape)
    some = linear._some(weight)
    assert len(some) <= 2 * max(shape)
    for part in (*weight.unbind(0), *weight.unbind(1)):
        part.data += 1
        assert some.any()
        weight.zero_()


@pytest.mark.parametrize(
    "change", [add_through_data, replace_weight, add_in_place, load, there_and_back]
)
def test_packed_weights_follow_theirs(
    change: Callable[[Linear], None], taken: list[Tensor]
) -> None:
    torch.manual_seed(0)
    layer, x = Linear(16, 24), torch.randn(3, 16)
    use_packed(layer)
    for count in (1, 2):
        with torch.inference_mode():
            expected = nn.functional.linear(x, layer.weight, layer.bias)
            torch.testing.assert_close(layer(x), expected)
            if taken:
                packed = linear._PACKED[layer]
                layer(x)
                assert linear._PACKED[layer] is packed and packed.weight.is_mkldnn
        if count == 1:
            change(layer)


def test_a_packed_layer_is_copied_and_saved_as_any(taken: list[Tensor]) -> None:
    layer, x = Linear(16, 24), torch.randn(3, 16)
    use_packed(layer)
    with torch.inference_mode():
        out = layer(x)
        copied = copy.deepcopy(layer)
        with torch.no_grad():
            copied.weight.zero_()
        assert torch.equal(copied(x), copied.bias.expand(3, -1))
        assert torch.equal(layer(x), out)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_large_networks_are_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(Linear(16, 24), nn.GELU(), Linear(24, 16))
    monkeypatch.setattr(linear, "MOST", 2 * 16 * 24 - 1)
    use_packed(network)
    assert not network[0].packs
    monkeypatch.setattr(linear, "MOST", 2 * 16 * 24)
    use_packed(network)
    assert network[0].packs and network[2].packs


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_gelu_with_the_product_is_gelu_after_it(
    exact: bool, packed: bool, taken: list[Tensor]
) -> None:
    torch.manual_seed(0)
    mlp, x = MLP(16, exact_gelu=exact), torch.randn(5, 16) * 3
    if packed:
        use_packed(mlp)
    expected = mlp(x)  # with gradients
    assert not taken
    with torch.inference_mode():
        torch.testing.assert_close(mlp(x), expected, atol=1e-6, rtol=1e-5)
    hidden = nn.functional.gelu(mlp[0](x), approximate="none" if exact else "tanh")
    torch.testing.assert_close(expected, mlp[2](hidden))
