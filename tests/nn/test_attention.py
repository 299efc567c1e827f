"""Attention in bf16 on a CPU: as two products while training on few keys."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from textok.nn import block
from textok.nn.block import attend


def qkv(keys: int = 7) -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 5, 16), (2, 3, keys, 16), (2, 3, keys, 16)]
    return [torch.randn(shape, generator=draws).bfloat16().requires_grad_() for shape in shapes]


def mask(masked: bool) -> Tensor | None:
    return (torch.arange(7) < torch.tensor([[4], [7]]))[:, None, None] if masked else None


def result(given: list[Tensor], keys: Tensor | None) -> list[Tensor]:
    out = attend(*given, keys)  # type: ignore[call-arg]
    weight = torch.linspace(-1, 1, out.numel()).view(out.shape)
    return [out.float(), *(g.float() for g in torch.autograd.grad((out * weight).sum(), given))]


@pytest.mark.parametrize("masked", [False, True])
def test_products_give_what_attention_gives(masked: bool) -> None:
    given, keys = qkv(), mask(masked)
    found = result(given, keys)
    exact = result([one.detach().double().requires_grad_() for one in given], keys)
    for one, other in zip(found, exact, strict=True):
        assert 0 < (one - other).abs().max() < 0.02 * other.abs().max()
    if masked:  # the keys that the first row does not see get no gradient
        assert found[2][0, :, 4:].abs().max() == found[3][0, :, 4:].abs().max() == 0


@pytest.mark.parametrize(
    ("precision", "training", "keys", "products"),
    [
        (torch.bfloat16, True, 7, True),
        (torch.bfloat16, True, 300, False),
        (torch.bfloat16, False, 7, False),
        (torch.float32, True, 7, False),
    ],
)
def test_products_are_for_training_in_bf16_on_few_keys(
    monkeypatch: pytest.MonkeyPatch,
    precision: torch.dtype,
    training: bool,
    keys: int,
    products: bool,
) -> None:
    calls: list[str] = []
    own, torchs = block._attend_by_products, F.scaled_dot_product_attention

    def noted(name: str, function: Any) -> Any:
        def call(*given: Any, **options: Any) -> Any:
            calls.append(name)
            return function(*given, **options)

        return call

    monkeypatch.setattr(block, "_attend_by_products", noted("products", own))
    monkeypatch.setattr(F, "scaled_dot_product_attention", noted("torch", torchs))
    with torch.set_grad_enabled(training):
        out = attend(*(one.to(precision) for one in qkv(keys)), None)  # type: ignore[call-arg]
    assert out.dtype == precision and out.shape == (2, 3, 5, 16)
    assert calls == ["products" if products else "torch"]
