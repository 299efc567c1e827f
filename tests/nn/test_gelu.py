"""GELU of bf16 numbers on a CPU is looked up, and is what torch calculates."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from textok.nn import gelu
from textok.nn.gelu import TanhGELU


def every_number() -> Tensor:
    """All 65,536 numbers of bf16 four times, shuffled."""
    order = torch.randperm(4 * 2**16, generator=torch.Generator().manual_seed(0))
    return (order % 2**16).to(torch.uint16).view(torch.bfloat16).view(512, 512)


def test_every_number_is_torchs_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gelu, "CHUNK", 100_000)  # the last one is shorter
    given = every_number().requires_grad_()
    grad = torch.randn(512, 512, generator=torch.Generator().manual_seed(1)).bfloat16()
    outs = [TanhGELU()(given), F.gelu(given, approximate="tanh")]
    slopes = [torch.autograd.grad(out, given, grad)[0] for out in outs]
    assert outs[0].grad_fn is not None and outs[0].grad_fn.name() != outs[1].grad_fn.name()
    for found, expected in (outs, slopes):
        assert torch.equal(found.isnan(), expected.isnan())
        assert torch.equal(found.nan_to_num(), expected.nan_to_num())


def test_any_layout_and_mode() -> None:
    given = torch.randn(512, 512).bfloat16().T
    with torch.inference_mode():
        found = TanhGELU()(given)
    assert torch.equal(found, F.gelu(given, approximate="tanh"))
    given = given.clone().requires_grad_()
    grad = torch.ones(()).bfloat16().expand(512, 512)
    (slope,) = torch.autograd.grad(TanhGELU()(given), given, grad)
    assert torch.equal(
        slope, torch.autograd.grad(F.gelu(given, approximate="tanh"), given, grad)[0]
    )


def test_it_has_a_forward_derivative() -> None:
    given, along = (
        torch.randn(512, 512, generator=torch.Generator().manual_seed(seed)).bfloat16()
        for seed in (0, 1)
    )
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(given, along)
        found, expected = (
            forward_ad.unpack_dual(out).tangent
            for out in (TanhGELU()(dual), F.gelu(dual, approximate="tanh"))
        )
    assert found is not None and torch.equal(found, expected)


@pytest.mark.parametrize(
    ("given", "looked_up"),
    [
        (torch.ones(2**16).bfloat16(), True),
        (torch.ones(2**16 - 1).bfloat16(), False),
        (torch.ones(2**16), False),
        (torch.ones(2**16).half(), False),
    ],
)
def test_few_and_wider_numbers_are_calculated(given: Tensor, looked_up: bool) -> None:
    out = TanhGELU()(given.requires_grad_())
    assert out.dtype == given.dtype
    assert ("LookUp" in out.grad_fn.name()) == looked_up
