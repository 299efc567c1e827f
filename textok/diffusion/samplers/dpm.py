"""DDIM and DPM-Solver++(2M): solvers that are exact where the data prediction does not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor


def ddim(
    x0: Callable[[Tensor, int], Tensor],
    x_BKC: Tensor,
    times: Tensor,
    alpha_sigma: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> Iterator[Tensor]:
    """x after each step of ``times`` (S + 1,), without fresh noise; order 1, S calls.

    ``x0(x, index)`` is the predicted data (B, K, C) at ``times[index]``; index is below S.
    (arXiv 2010.02502, eq. 12 with eta = 0.)
    """
    alpha, sigma = (weight.tolist() for weight in alpha_sigma(times))
    for index in range(len(times) - 1):
        kept = sigma[index + 1] / sigma[index]
        x_BKC = kept * x_BKC + (alpha[index + 1] - kept * alpha[index]) * x0(x_BKC, index)
        yield x_BKC


def dpmpp(
    x0: Callable[[Tensor, int], Tensor],
    x_BKC: Tensor,
    times: Tensor,
    alpha_sigma: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> Iterator[Tensor]:
    """As ``ddim``, with the data prediction extrapolated to the middle of the step; order 2.

    The middle is that of lambda = log(alpha / sigma). (arXiv 2211.01095, algorithm 2.) Lambda is
    infinite at t = 0, and for flow matching at t = 1: the steps there, and the one that would look
    back on such a step, are of order 1, which leaves the whole at order 2.
    """
    alpha_S, sigma_S = alpha_sigma(times)
    alpha, sigma, at = alpha_S.tolist(), sigma_S.tolist(), (alpha_S / sigma_S).log().tolist()
    before = x_BKC
    for index in range(len(times) - 1):
        now = x0(x_BKC, index)
        data = now
        if 0 < index < len(times) - 2:
            # A step from minus infinity makes this weight 0.
            weight = (at[index + 1] - at[index]) / (at[index] - at[index - 1]) / 2
            data = now + weight * (now - before)
        kept = sigma[index + 1] / sigma[index]
        x_BKC = kept * x_BKC + (alpha[index + 1] - kept * alpha[index]) * data
        before = now
        yield x_BKC
