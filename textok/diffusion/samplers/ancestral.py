"""The sampler that adds fresh noise at each step: DDPM's own, and a flow's SDE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log

import torch
from torch import Tensor


def ancestral(
    predict: Callable[[Tensor, int], tuple[Tensor, Tensor]],
    x_BKC: Tensor,
    times: Tensor,
    alpha_sigma: Callable[[Tensor], tuple[Tensor, Tensor]],
    noise: Callable[[], Tensor],
) -> Iterator[Tensor]:
    """x after each step of ``times`` (S + 1,), which may leave out any of the trained steps.

    ``predict(x, index)``, with index below S, is the predicted data (B, K, C) at ``times[index]``
    and the place of the log-variance between the posterior's, 0, and beta's, 1. Posterior and beta
    are those of the steps of ``times`` (arXiv 2102.09672, section 4 and eq. 15); the path may start
    where alpha is 0, as that of a flow does. ``noise()`` is fresh standard-normal noise (B, K, C),
    called once a step but the last, which adds none.
    """
    alpha, sigma = (weight.tolist() for weight in alpha_sigma(times))
    for index in range(len(times) - 1):
        data, spread = predict(x_BKC, index)
        kept = alpha[index] / alpha[index + 1]
        left, now = sigma[index + 1] ** 2, sigma[index] ** 2
        beta = now - kept**2 * left
        # arXiv 2006.11239, eq. 7.
        x_BKC = (alpha[index + 1] * beta * data + kept * left * x_BKC) / now
        if index < len(times) - 2:
            log_posterior = log(beta * left / now)
            log_variance = log_posterior + spread * (log(beta) - log_posterior)
            x_BKC = x_BKC + torch.exp(log_variance / 2) * noise()
        yield x_BKC
