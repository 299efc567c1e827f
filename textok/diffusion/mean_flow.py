"""The identity and the losses of improved MeanFlow (Geng et al. 2025, arXiv 2512.02012).

u(z, r, t) is the mean over [r, t] of the velocity v along a path dz/dt = v through z at t:
(t - r) u is the integral of v from r to t. Its derivative by t, along the path and with r fixed, is
u + (t - r) du/dt = v. Legend: B batch, K latent tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import reduce
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from textok.diffusion.broadcast import over_tokens

OFFSET = 0.01
"""Added to the squared error that an error is divided by."""


def derivative_along(
    u: Callable[[Tensor, Tensor, Tensor], Tensor],
    z_BKC: Tensor,
    t_B: Tensor,
    span_B: Tensor,
    *,
    velocity: Tensor,
) -> Tensor:
    """du/dt (B, ...) of ``u(z, t, span)`` along dz/dt = ``velocity`` where r = t - span is fixed.

    By forward-mode differentiation, without gradients of its own. Attention runs in torch's plain
    form, as fused kernels have no such derivative, and compiled parts run as written.
    """
    with (
        torch.no_grad(),
        torch.compiler.set_stance("force_eager"),
        sdpa_kernel(SDPBackend.MATH),
        forward_ad.dual_level(),
    ):
        one_B = torch.ones_like(t_B)
        out = u(
            forward_ad.make_dual(z_BKC, velocity),
            forward_ad.make_dual(t_B, one_B),
            forward_ad.make_dual(span_B, one_B),
        )
        tangent: Tensor | None = forward_ad.unpack_dual(out).tangent
    return torch.zeros_like(out) if tangent is None else tangent


def compound(u_BKC: Tensor, derivative_BKC: Tensor, span_B: Tensor) -> Tensor:
    """V = u + (t - r) du/dt, the velocity that an average velocity implies; du/dt is detached."""
    return u_BKC + over_tokens(span_B) * derivative_BKC.detach()


def guided_velocity(
    velocity_BKC: Tensor, guided_BKC: Tensor, unconditional_BKC: Tensor, scale_B: Tensor
) -> Tensor:
    """velocity + (1 - 1 / w) (guided - unconditional): the target under guidance of scale w.

    With the network's own guided velocity, its fixed point is that of classifier-free guidance,
    unconditional + w (velocity - unconditional).
    """
    return velocity_BKC + over_tokens(1 - 1 / scale_B) * (guided_BKC - unconditional_BKC)


def balanced(error_BKC: Tensor, power: float = 1.0) -> Tensor:
    """Mean square (B,) of each row's error over that of its detached value to a ``power``.

    With 1 it is |error|^2 / (|error|^2 + OFFSET): all rows weigh the same. With 0 the mean square.
    """
    mean_B = reduce(error_BKC.square(), "B K C -> B", "mean")
    offset = OFFSET / error_BKC[0].numel()
    return mean_B / (mean_B.detach() + offset) ** power
