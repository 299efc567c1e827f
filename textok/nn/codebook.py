"""Vectors to the nearest of a codebook. Legend: X any leading axes, V codes, C channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

CHUNK = 2**24
"""Most distances that are held at once while codes are revived."""


class Codebook(nn.Module):
    """V vectors, each input taking the nearest (van den Oord et al. 2017, arXiv 1711.00937).

    With ``l2_norm`` inputs and vectors are compared and given as directions (Yu et al. 2022, arXiv
    2110.04627, section 3.2). All in float32.
    """

    def __init__(self, size: int, channels: int, *, l2_norm: bool) -> None:
        super().__init__()
        self.l2_norm = l2_norm
        vectors = torch.empty(size, channels)
        if l2_norm:
            # Of length 1, so that a step of the optimiser is as long as it looks.
            vectors = F.normalize(vectors.normal_(), dim=-1)
        else:
            vectors.uniform_(-1 / size, 1 / size)
        self.vectors = nn.Parameter(vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    def forward(self, x_XC: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (X, C) of the nearest codes and their numbers (X,) int64.

        The vectors' gradient goes to ``x_XC`` unchanged (straight-through).
        """
        x_XC = self.normalise(x_XC)
        codes_X = self._nearest(x_XC.detach())
        vectors_XC = self.lookup(codes_X).detach()
        return x_XC + (vectors_XC - x_XC).detach(), codes_X

    def losses(self, x_XC: Tensor, codes_X: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squares that move the codes to the inputs, and the inputs to the codes (eq. 3)."""
        x_XC, vectors_XC = self.normalise(x_XC), self.lookup(codes_X)
        codebook = (vectors_XC - x_XC.detach()).square().mean()
        return codebook, (vectors_XC.detach() - x_XC).square().mean()

    def lookup(self, codes_X: Tensor) -> Tensor:
        """Vectors (X, C) of codes. Raises ValueError for one outside [0, V)."""
        # A compiled graph cannot branch on values: there the caller answers for them.
        if not torch.compiler.is_compiling() and codes_X.numel():
            low, high = int(codes_X.min()), int(codes_X.max())
            if low < 0 or high >= len(self):
                raise ValueError(
                    f"codes go from {low} to {high}, this codebook has 0 to {len(self) - 1}"
                )
        return F.embedding(codes_X, self.normalise(self.vectors))

    def revive(self, x_XC: Tensor, codes_X: Tensor) -> None:
        """Nothing: unused codes stay where they are."""

    def normalise(self, x_XC: Tensor) -> Tensor:
        """As they are compared: float32, and of length 1 with ``l2_norm``."""
        return F.normalize(x_XC.float(), dim=-1) if self.l2_norm else x_XC.float()

    def _nearest(self, x_XC: Tensor) -> Tensor:
        with torch.autocast(x_XC.device.type, enabled=False):
            vectors_VC = self.normalise(self.vectors.detach())
            return (
                distances(rearrange(x_XC, "... C -> (...) C"), vectors_VC)
                .argmin(1)
                .view(x_XC.shape[:-1])
            )


class RevivingCodebook(Codebook):
    """Codes that are hardly used move to where the inputs are (CVQ, arXiv 2307.15139, eq. 3-5)."""

    use: Tensor
    """(V,) average share of the inputs that take each code."""

    def __init__(self, size: int, channels: int, *, l2_norm: bool, decay: float = 0.99) -> None:
        super().__init__(size, channels, l2_norm=l2_norm)
        self.decay = decay
        self.register_buffer("use", torch.zeros(size))

    @torch.no_grad()
    def revive(self, x_XC: Tensor, codes_X: Tensor) -> None:
        """Move each code towards its nearest input, the less it is used the further.

        ``x_XC`` (X, C) and ``codes_X`` (X,) are all of a training step, from all processes.
        """
        counts_V = torch.bincount(codes_X, minlength=len(self)).float()
        self.use.lerp_(counts_V / len(codes_X), 1 - self.decay)
        compared = self.normalise(x_XC)
        rows = max(1, CHUNK // len(compared))
        nearest_V = torch.cat(
            [
                distances(part, compared).argmin(1)
                for part in self.normalise(self.vectors).split(rows)
            ]
        )
        reach_V1 = torch.exp(-self.use * len(self) * 10 / (1 - self.decay) - 1e-3)[:, None]
        self.vectors.lerp_(compared[nearest_V], reach_V1)


def distances(a_XC: Tensor, b_YC: Tensor) -> Tensor:
    """Squared distances (X, Y), less the squared length of each ``a``, which orders nothing."""
    return b_YC.square().sum(1) - 2 * a_XC @ b_YC.T


def code_use(counts_V: Tensor) -> tuple[float, float]:
    """Share of the codes that occur, and perplexity: as many codes, used alike, say as much."""
    shares_V = counts_V.double() / counts_V.sum().clamp(min=1)
    entropy = torch.special.entr(shares_V).sum()
    return float((counts_V > 0).double().mean()), float(entropy.exp())
