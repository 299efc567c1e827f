"""Attention on a CPU: on few keys in bf16 by a forward and a backward pass of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from textok.nn import few_keys
from textok.nn.block import SelfAttention, attend


def qkv(keys: int = 7) -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 5, 16), (2, 3, keys, 16), (2, 3, keys, 16)]
    return [torch.randn(shape, generator=draws).bfloat16().requires_grad_() for shape in shapes]


def mask(masked: bool) -> Tensor | None:
    return (torch.arange(7) < torch.tensor([[4], [7]]))[:, None, None] if masked else None


def plain(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor | None, norms: tuple[Tensor, Tensor] | None
) -> Tensor:
    """The formula as torch has it."""
    if norms is not None:
        q, k = (F.rms_norm(x, (16,), w, 1e-2) for x, w in zip((q, k), norms, strict=True))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keys)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)]
)
def test_few_keys_give_what_attention_gives(
    masked: bool, normed: bool, precision: torch.dtype, tolerance: float
) -> None:
    keys = mask(masked)
    # As a linear layer leaves them: a head's rows lie apart.
    given = [one.detach().mT.contiguous().mT.to(precision).requires_grad_() for one in qkv()]
    norms = [torch.linspace(0.5, 2, 16), torch.linspace(2, -1, 16)] if normed else []
    norms = [one.requires_grad_() for one in norms]
    weight = torch.linspace(-1, 1, 480).view(2, 3, 5, 16)

    def result(attention: Any, inputs: list[Tensor], norms: list[Tensor]) -> list[Tensor]:
        out = attention(*inputs, keys, tuple(norms) or None)
        return [out, *torch.autograd.grad((out * weight).sum(), inputs + norms)]

    found = result(lambda *given: few_keys.attend(*given, eps=1e-2), given, norms)
    wide = [[x.detach().double().requires_grad_() for x in xs] for xs in (given, norms)]
    for one, other in zip(found, result(plain, *wide), strict=True):
        assert (one.double() - other).abs().max() < tolerance * other.abs().max()
    assert [one.dtype for one in found[1:]] == [one.dtype for one in given + norms]
    if masked:  # the keys that the first row does not see get no gradient
        assert found[2][0, :, 4:].abs().max() == found[3][0, :, 4:].abs().max() == 0


def test_a_layer_has_a_forward_derivative() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(32, 2, qk_norm=True), torch.randn(2, 5, 32)
    along = torch.randn_like(x)

    def tangent() -> Tensor:
        with forward_ad.dual_level():
            found = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, along))).tangent
        assert found is not None
        return found

    with sdpa_kernel(SDPBackend.MATH):
        exact = tangent()
        with torch.autocast("cpu", torch.bfloat16):
            rounded = tangent()
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.02)


def test_a_norm_of_nothing_is_nothing() -> None:
    q, k, v = (torch.zeros(1, 1, 3, 16).bfloat16().requires_grad_() for _ in range(3))
    out = few_keys.attend(q, k, v, None, (torch.ones(16), torch.ones(16)), eps=1e-6)
    grads = torch.autograd.grad(out.sum(), (q, k, v))
    assert all(torch.isfinite(one).all() for one in (out, *grads))


def test_a_layer_trains_alike_in_both_precisions() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(32, 2, qk_norm=True), torch.randn(2, 6, 32)
    keys = torch.arange(6) < torch.tensor([[3], [6]])
    grads = []
    for on in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=on):
            out = layer(x, keys, slice(1, 4)).float()
        grads.append(torch.autograd.grad(out.square().sum(), list(layer.parameters())))
    for one, other in zip(*grads, strict=True):
        assert (one - other).norm() < 0.03 * other.norm()


@pytest.mark.parametrize(
    ("precision", "training", "keys", "own_passes"),
    [
        (torch.bfloat16, True, 7, True),
        (torch.bfloat16, True, 300, False),
        (torch.bfloat16, False, 7, False),
        (torch.float32, True, 7, False),
    ],
)
def test_they_are_for_training_in_bf16_on_few_keys(
    monkeypatch: pytest.MonkeyPatch,
    precision: torch.dtype,
    training: bool,
    keys: int,
    own_passes: bool,
) -> None:
    calls: list[str] = []
    own, torchs = few_keys.attend, F.scaled_dot_product_attention

    def noted(name: str, function: Any) -> Any:
        def call(*given: Any, **options: Any) -> Any:
            calls.append(name)
            return function(*given, **options)

        return call

    monkeypatch.setattr(few_keys, "attend", noted("own", own))
    monkeypatch.setattr(F, "scaled_dot_product_attention", noted("torch", torchs))
    with torch.set_grad_enabled(training):
        out = attend(*(one.to(precision) for one in qkv(keys)), None)  # type: ignore[call-arg]
    assert out.dtype == precision and out.shape == (2, 3, 5, 16)
    assert calls == ["own" if own_passes else "torch"]
