"""GELU by tanh, which bf16 numbers on a CPU look up: there are no more than 65,536 of them.

torch calculates 16 tanh at once in some 80 cycles, and as long again in the backward pass; looking
up takes half of that. The numbers are those that torch's kernels give, to the bit.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

ENOUGH = 2**16
"""Fewest numbers that are worth the longer way in."""
CHUNK = 2**18
"""Numbers at once: what lies between two operators stays in the cache."""


class TanhGELU(nn.GELU):
    """``nn.GELU(approximate="tanh")``, in the type of its input."""

    def __init__(self) -> None:
        super().__init__(approximate="tanh")

    def forward(self, x: Tensor) -> Tensor:
        if not usable(x):
            return super().forward(x)
        out: Tensor = _LookUp.apply(x)  # type: ignore[no-untyped-call]
        return out


def usable(x: Tensor) -> bool:
    """Whether numbers are looked up, here and now; not in forward-mode differentiation."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and x.numel() >= ENOUGH
        and not torch.compiler.is_compiling()
        and forward_ad.unpack_dual(x).tangent is None
    )


@cache
def _tables() -> tuple[Tensor, Tensor]:
    """GELU of every bf16 number in bf16, and its derivative there in float32, by the bits."""
    with torch.inference_mode(False), torch.no_grad():
        numbers = torch.arange(2**16, device="cpu").to(torch.uint16).view(torch.bfloat16)
        slopes = torch.ops.aten.gelu_backward(
            torch.ones(2**16, device="cpu"), numbers.float(), approximate="tanh"
        )
        return F.gelu(numbers, approximate="tanh"), slopes


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x)
        values, out = _tables()[0], torch.empty_like(x)
        for made, given in _chunks(out, x):
            torch.index_select(values, 0, _bits(given), out=made)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad, (x,) = grad.contiguous(), ctx.saved_tensors
        slopes, out = _tables()[1], torch.empty_like(grad)
        for made, given, factor in _chunks(out, x, grad):
            torch.mul(slopes.index_select(0, _bits(given)), factor, out=made)
        return out


def _chunks(*tensors: Tensor) -> Any:
    return zip(*(tensor.view(-1).split(CHUNK) for tensor in tensors), strict=True)


def _bits(numbers: Tensor) -> Tensor:
    return numbers.view(torch.uint16).to(torch.int32)
