"""From hidden tokens to codes, the surest first. Legend: B batch, K tokens, V codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import acos, pi

import torch
from torch import Tensor

from textok.config.generator import SamplingConfig

Uniform = Callable[[Sequence[int]], Tensor]
"""Fresh uniform numbers in [0, 1), (B, *shape) for a shape."""


def uniform_noise(seeds: Sequence[int], device: torch.device) -> Uniform:
    """Numbers of which row i follows from ``seeds[i]`` and from the calls before it, alone."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def uniform(shape: Sequence[int]) -> Tensor:
        return torch.stack([torch.rand(shape, generator=one) for one in generators]).to(device)

    return uniform


def unmask(
    logits: Callable[[Tensor, int], Tensor],
    codes_BK: Tensor,
    sampling: SamplingConfig,
    uniform: Uniform,
) -> Iterator[Tensor]:
    """Codes (B, K) after each step, from ``codes_BK`` that are all hidden (MaskGIT, section 3.2).

    ``logits(codes, step)`` gives (B, K, V) for codes that are V where hidden. A step draws a code
    for each hidden token and keeps those it is surest of, by their logits; both choices are made
    under Gumbel noise, whose temperature falls to 0. Codes once kept stay. The last step keeps all.
    """
    left = hidden_counts(codes_BK.shape[1], sampling.steps)
    for step in range(sampling.steps):
        todo = 1 - (step + 1) / sampling.steps
        temperature = sampling.temperature * todo
        logits_BKV = logits(codes_BK, step)
        if sampling.softmax_annealing:
            logits_BKV = logits_BKV / (0.5 + 0.8 * todo)
        size = logits_BKV.shape[-1]
        hidden_BK = codes_BK == size
        drawn_BK = _noisy(logits_BKV, temperature, uniform).argmax(dim=-1)
        sure_BK = logits_BKV.gather(-1, drawn_BK[..., None])[..., 0]
        codes_BK = torch.where(hidden_BK, drawn_BK, codes_BK)
        if step < len(left):
            sure_BK = sure_BK.masked_fill(~hidden_BK, torch.inf)
            order_BK = _noisy(sure_BK, temperature, uniform).argsort(dim=-1, stable=True)
            codes_BK = codes_BK.scatter(1, order_BK[:, : left[step]], size)
        yield codes_BK


def hidden_counts(num_tokens: int, steps: int) -> list[int]:
    """How many tokens are hidden after each step but the last, which hides none.

    floor(K arccos(done) / (pi / 2)), at most one less than before, at least one: with more steps
    than tokens the last token is drawn several times.
    """
    counts, left = [], num_tokens
    for step in range(1, steps):
        share = acos(step / steps) / (pi / 2)
        left = max(1, min(left - 1, int(num_tokens * share)))
        counts.append(left)
    return counts


def _noisy(x: Tensor, temperature: float, uniform: Uniform) -> Tensor:
    """x (B, ...) + temperature * standard Gumbel noise, which is bounded."""
    if temperature == 0:
        return x
    exponential = -uniform(x.shape[1:]).clamp(min=1e-20).log()
    return x - temperature * exponential.clamp(min=1e-20).log()
