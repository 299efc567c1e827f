"""The scale of latents: a generator works on numbers of mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from textok.types import Latents, upload

FLOOR = 1e-4
"""The least standard deviation: a channel below it is constant to the precision of float16."""


@dataclass(frozen=True)
class LatentScale:
    """Mean and standard deviation of each channel; the one place where latents are normalised.

    Channels are normalised, not tokens or single numbers: a channel means the same in every token.
    """

    mean: Tensor
    """(C,) float32."""
    std: Tensor
    """(C,) float32, over rows and tokens, with the variance of a ``kl`` bottleneck."""

    def __post_init__(self) -> None:
        assert self.mean.shape == self.std.shape and self.mean.ndim == 1

    def normalise(self, x_BKC: Tensor) -> Tensor:
        """Tokens as the tokenizer gives them to tokens of mean 0 and variance 1."""
        return (x_BKC - self.mean) / self.std.clamp(min=FLOOR)

    def denormalise(self, x_BKC: Tensor) -> Tensor:
        """Back to tokens that the tokenizer decodes."""
        return x_BKC * self.std.clamp(min=FLOOR) + self.mean

    def to(self, device: torch.device | str) -> LatentScale:
        return LatentScale(upload(self.mean, device), upload(self.std, device))

    @classmethod
    def measured(cls, parts: Iterable[Latents]) -> LatentScale:
        """Over all rows and tokens, in float64: the variance of x = mean + exp(logvar / 2) noise.

        Var x = Var mean + E exp(logvar), by the law of total variance.
        """
        count = 0
        total, square, posterior = torch.zeros(()), torch.zeros(()), torch.zeros(())
        for part in parts:
            mean_XC = part.mean.double().flatten(0, 1)
            count += len(mean_XC)
            total = total + mean_XC.sum(0)
            square = square + mean_XC.square().sum(0)
            if part.logvar is not None:
                posterior = posterior + part.logvar.double().exp().flatten(0, 1).sum(0)
        assert count, "no rows to measure"
        mean = total / count
        variance = (square / count - mean.square()).clamp(min=0) + posterior / count
        return cls(mean.float(), variance.sqrt().float())
