"""Attention on few keys for training in bf16 on a CPU, with a backward pass of its own.

Two matrix products in bf16, norms and softmax in float32 between them. Autograd of the same formula
takes twice the time: it goes through queries, keys and their gradients in the order in which the
linear layer left them, a head's row at a time, and several times for each norm.

Legend: B batch, H heads, S queries, T keys, E head width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

FEW = 256
"""Most keys for which the (B, H, S, T) of two products are worth holding."""


def usable(q_BHSE: Tensor, k_BHTE: Tensor) -> bool:
    """Whether attention of these is trained so, here and now.

    Not in forward-mode differentiation.
    """
    return (
        q_BHSE.device.type == "cpu"
        and q_BHSE.dtype == torch.bfloat16
        and k_BHTE.shape[-2] <= FEW
        and torch.is_grad_enabled()
        and forward_ad.unpack_dual(q_BHSE).tangent is None
    )


def attend(
    q_BHSE: Tensor,
    k_BHTE: Tensor,
    v_BHTE: Tensor,
    mask: Tensor | None,
    norms: tuple[Tensor, Tensor] | None = None,
    *,
    eps: float = 0.0,
) -> Tensor:
    """Scaled dot-product attention of what ``usable`` takes, over the keys where ``mask`` is True.

    ``norms`` are the weights (E,) of RMS norms of queries and keys, which have ``eps``; without
    them there are none.
    """
    scale, q_weight, k_weight = q_BHSE.shape[-1] ** -0.5, None, None
    if norms is None:
        q_BHSE = q_BHSE * scale
    else:
        q_weight, k_weight = norms[0].float() * scale, norms[1].float()
    out: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
        q_BHSE, k_BHTE, v_BHTE, mask, q_weight, k_weight, eps
    )
    return out


class _Attention(torch.autograd.Function):
    """softmax(norm(q) norm(k)^T) v; the scale is in q or its weight."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None,
        q_weight: Tensor | None,
        k_weight: Tensor | None,
        eps: float,
    ) -> Tensor:
        v = v.contiguous()
        q, *q_norm = _norm(q.contiguous(), q_weight, eps)
        k, *k_norm = _norm(k.contiguous(), k_weight, eps)
        scores = (q @ k.mT).float()
        if mask is not None:
            unseen = torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(~mask, -torch.inf)
            scores += unseen
        shares = scores.softmax(dim=-1).to(v.dtype)
        ctx.save_for_backward(q, k, v, shares, q_weight, *q_norm, k_weight, *k_norm)
        return shares @ v

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, shares, q_weight, q_unit, q_rate, k_weight, k_unit, k_rate = ctx.saved_tensors
        grad = grad.contiguous()
        v_grad = shares.mT @ grad
        scores = torch.ops.aten._softmax_backward_data(grad @ v.mT, shares, -1, shares.dtype)
        q_grad, q_weight_grad = _norm_backward(scores @ k, q_weight, q_unit, q_rate)
        k_grad, k_weight_grad = _norm_backward(scores.mT @ q, k_weight, k_unit, k_rate)
        return q_grad, k_grad, v_grad, None, q_weight_grad, k_weight_grad, None


def _norm(
    x: Tensor, weight: Tensor | None, eps: float
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """weight * x / sqrt(mean(x^2) + eps), that without the weight, and by what x was multiplied."""
    if weight is None:
        return x, None, None
    unit = x.to(torch.float32, copy=True)
    length = torch.linalg.vector_norm(unit, dim=-1, keepdim=True)
    rate = (length.square() / x.shape[-1] + eps).rsqrt_()
    unit *= rate
    return (unit * weight).to(x.dtype), unit, rate


def _norm_backward(
    grad: Tensor, weight: Tensor | None, unit: Tensor | None, rate: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Gradients of the input and the weight of ``_norm``."""
    if weight is None or unit is None or rate is None:
        return grad, None
    x_grad = grad.float()
    products = x_grad * unit
    along = (products @ weight)[..., None] / -grad.shape[-1]
    x_grad *= weight
    x_grad.addcmul_(unit, along)
    x_grad *= rate
    return x_grad.to(grad.dtype), products.flatten(0, -2).sum(dim=0)
