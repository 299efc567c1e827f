"""Solvers of dx/dt = velocity; for flow matching."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor


def euler(
    velocity: Callable[[Tensor, int], Tensor], x_BKC: Tensor, times: Tensor
) -> Iterator[Tensor]:
    """x after each step of ``times`` (S + 1,); order 1, S calls.

    ``velocity(x, index)`` is dx/dt (B, K, C) at ``times[index]``; index is below S.
    """
    at: list[float] = times.tolist()
    for index in range(len(at) - 1):
        x_BKC = x_BKC + (at[index + 1] - at[index]) * velocity(x_BKC, index)
        yield x_BKC


def heun(
    velocity: Callable[[Tensor, int], Tensor], x_BKC: Tensor, times: Tensor
) -> Iterator[Tensor]:
    """As ``euler``, with the mean of the velocities at both ends of a step; order 2, 2 S - 1 calls.

    The last step is Euler's, as in EDM (arXiv 2206.00364, algorithm 1): one such step does not
    lower the order, and a network is hardly trained at t = 0.
    """
    at: list[float] = times.tolist()
    last = len(at) - 2
    for index in range(last + 1):
        length = at[index + 1] - at[index]
        slope = velocity(x_BKC, index)
        if index < last:
            slope = (slope + velocity(x_BKC + length * slope, index + 1)) / 2
        x_BKC = x_BKC + length * slope
        yield x_BKC
