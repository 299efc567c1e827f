"""DDIM and DPM-Solver++(2M): solvers that are exact where the data prediction does not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

LONGEST = 2.0
"""Times the length of the last step in lambda, which a step of order 2 may have."""


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
    back on such a step, are of order 1, which leaves the whole at order 2. So is a step more than
    LONGEST times the one before, as DDPM's last one before t = 0 is at fewer than 100 steps:
    extrapolated so far, the prediction would be worse than left as it is.
    """
    alpha_S, sigma_S = alpha_sigma(times)
    alpha, sigma, at = alpha_S.tolist(), sigma_S.tolist(), (alpha_S / sigma_S).log().tolist()
    before = x_BKC
    for index in range(len(times) - 1):
        now = x0(x_BKC, index)
        data = now
        if 0 < index < len(times) - 2:
            # A step from minus infinity makes this ratio 0.
            ratio = (at[index + 1] - at[index]) / (at[index] - at[index - 1])
            if ratio <= LONGEST:
                data = now + ratio / 2 * (now - before)
        kept = sigma[index + 1] / sigma[index]
        x_BKC = kept * x_BKC + (alpha[index + 1] - kept * alpha[index]) * data
        before = now
        yield x_BKC
