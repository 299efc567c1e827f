"""Triton kernels for drawing on a GPU: adaptive norms, gated sums, norms of queries and keys.

The plain forms are in ``textok.nn.adaptive_block`` and ``textok.nn.block``; they are the reference,
and what runs wherever ``usable`` says no. A kernel calculates in float32 and rounds once, where the
plain form rounds after each of its operators. There is no backward pass.

Legend: B batch, K tokens, D width, S sequence, H heads, E head width.
"""

from __future__ import annotations

import os
from typing import Any, cast

import torch
from torch import Tensor, nn

WIDEST = 8192
"""Most numbers of a row that a kernel holds at once."""

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Triton runs its kernels on the CPU, slowly, for tests."""


def usable(x: Tensor) -> bool:
    """Whether the kernels take rows like those of ``x``, here and now."""
    return (
        not torch.compiler.is_compiling()
        and not torch.is_grad_enabled()
        and (x.is_cuda or (INTERPRETED and x.device.type == "cpu"))
        and x.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and x.is_contiguous()
        and x.shape[-1] <= WIDEST
        and x.numel() > 0
    )


@torch.inference_mode()
def lacking(device: torch.device) -> str:
    """Why the kernels do not run on a CUDA device, in one line; empty where they do."""
    x = torch.ones(1, 1, 16, device=device)
    try:
        modulate(x, x[0], x[0])
    except Exception as error:  # without Triton, a compiler of C, or a device that Triton knows
        return " ".join(str(error).split())[:200] or type(error).__name__
    return ""


def use_fused(network: nn.Module, on: bool) -> None:
    """Let all layers of a network that have a fused form use it wherever it is ``usable``."""
    for layer in network.modules():
        if hasattr(layer, "fused"):
            cast(Any, layer).fused = on


def modulate(x_BKD: Tensor, shift_BD: Tensor, scale_BD: Tensor, *, eps: float = 1e-6) -> Tensor:
    """norm(x) * (1 + scale) + shift; shift and scale have B rows or 1."""
    out = torch.empty_like(x_BKD)
    _adaptive(x_BKD, out, out, (shift_BD, scale_BD), None, eps)
    return out


def add_gated(x_BKD: Tensor, gate_BD: Tensor, y_BKD: Tensor) -> Tensor:
    """x + gate * y; the gate has B rows or 1."""
    out = torch.empty_like(x_BKD)
    _adaptive(x_BKD, out, out, None, (gate_BD, y_BKD), 0.0)
    return out


def add_and_modulate(
    x_BKD: Tensor,
    gate_BD: Tensor,
    y_BKD: Tensor,
    shift_BD: Tensor,
    scale_BD: Tensor,
    *,
    eps: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """``add_gated``, and ``modulate`` of that sum."""
    total, out = torch.empty_like(x_BKD), torch.empty_like(x_BKD)
    _adaptive(x_BKD, total, out, (shift_BD, scale_BD), (gate_BD, y_BKD), eps)
    return total, out


def norm_heads(
    q_BHSE: Tensor, k_BHSE: Tensor, q_weight: Tensor, k_weight: Tensor, *, eps: float
) -> tuple[Tensor, Tensor]:
    """RMS norms of queries and keys over E, times the weights; both lie alike in memory."""
    assert q_BHSE.shape == k_BHSE.shape
    assert q_BHSE.stride() == k_BHSE.stride() and q_BHSE.stride(-1) == 1
    batch, heads, length, width = q_BHSE.shape
    out = q_BHSE.new_empty(2, batch, length, heads, width)
    with torch.cuda.device_of(q_BHSE):
        _kernels().norm_heads[(batch * length, 2)](
            q_BHSE, k_BHSE, q_weight, k_weight, out, length, *q_BHSE.stride()[:3], batch * length,
            eps, HEADS=heads, WIDTH=width, ROWS=_power(heads), BLOCK=_power(width), num_warps=4,
        )  # fmt: skip
    q, k = out.transpose(2, 3)
    return q, k


def _adaptive(
    x_BKD: Tensor,
    total: Tensor,
    out: Tensor,
    modulation: tuple[Tensor, Tensor] | None,
    gated: tuple[Tensor, Tensor] | None,
    eps: float,
) -> None:
    """One kernel for a sum, a norm, or both; what is left out is not read."""
    batch, count, width = x_BKD.shape
    shift, scale = modulation or (x_BKD, x_BKD)
    gate, y = gated or (x_BKD, x_BKD)
    y = y.contiguous()
    block = _power(width)
    with torch.cuda.device_of(x_BKD):
        _kernels().adaptive[(batch * count,)](
            x_BKD, y, gate, shift, scale, total, out, count, _step(gate), _step(shift),
            _step(scale), eps, GATED=gated is not None, NORM=modulation is not None, WIDTH=width,
            BLOCK=block, num_warps=max(1, min(8, block // 256)),
        )  # fmt: skip


def _step(vector_BD: Tensor) -> int:
    """Numbers from the vector of one image to that of the next; 0 where all have the same."""
    assert vector_BD.stride(-1) == 1
    return vector_BD.stride(0) if vector_BD.shape[0] > 1 else 0


def _power(number: int) -> int:
    """The next power of two."""
    return 1 << (number - 1).bit_length()


def _kernels() -> Any:
    """The module of the kernels: importing Triton takes a second, and not every machine has it."""
    from textok.nn import fused_kernels

    return fused_kernels
