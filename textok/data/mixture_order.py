"""Which set of a mixture each position of the training stream draws from, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from textok.data.order import Draw

_SETS, _PASS = 2, 3  # 0 and 1 are those of textok.data.order
MIN_BLOCK = 1000


@dataclass(frozen=True)
class _Block:
    """P consecutive positions of the stream."""

    before: list[int]
    """How often each set was drawn before the block."""
    sets: NDArray[np.int64]
    """(P,) the set that each position draws from."""
    ranks: NDArray[np.int64]
    """(P,) how many earlier positions of the block draw from the same set."""


@dataclass(frozen=True, kw_only=True)
class MixtureOrder:
    """The endless order of images from several sets: a pure function of seed and position.

    Positions are dealt out in blocks. After b blocks of P positions the sets up to number j have
    been drawn floor(b P C_j + 1/2) times, with C_j the sum of their weights: the shares are exact
    but for one draw, whatever the weights. Inside a block the sets are permuted at random. The n-th
    draw from a set is image n of its own endless row of shuffled passes.
    """

    sizes: tuple[int, ...]
    """Images of each set; they lie one set after the other."""
    weights: tuple[float, ...]
    """Positive, of any sum."""
    seed: int

    def at(self, position: int) -> Draw:
        """The image at a position of the endless order."""
        number, place = divmod(position, self.block)
        block = self._block(number)
        chosen = int(block.sets[place])
        count = block.before[chosen] + int(block.ranks[place])
        epoch, place = divmod(count, self.sizes[chosen])
        image = int(self._passes[chosen](epoch)[place])
        return Draw(epoch, sum(self.sizes[:chosen]) + image)

    def counts(self, positions: int) -> list[int]:
        """How many of the first ``positions`` draw from each set."""
        number, rest = divmod(positions, self.block)
        block = self._block(number)
        inside = np.bincount(block.sets[:rest], minlength=len(self.sizes))
        return [a + int(b) for a, b in zip(block.before, inside, strict=True)]

    @cached_property
    def block(self) -> int:
        """P, large enough for every set to be drawn in it, so that no count ever falls."""
        return max(MIN_BLOCK, math.ceil(1 / min(self._shares)))

    @cached_property
    def _shares(self) -> list[Fraction]:
        weights = [Fraction(weight) for weight in self.weights]
        return [weight / sum(weights) for weight in weights]

    def _before(self, number: int) -> list[int]:
        """How often each set was drawn before block ``number``."""
        sums = accumulate(self._shares, initial=Fraction(0))
        ends = [math.floor(number * self.block * share + Fraction(1, 2)) for share in sums]
        return [end - start for start, end in pairwise(ends)]

    @cached_property
    def _block(self) -> Callable[[int], _Block]:
        def deal(number: int) -> _Block:
            before, after = self._before(number), self._before(number + 1)
            quotas = [end - start for start, end in zip(before, after, strict=True)]
            random = np.random.default_rng((self.seed, _SETS, number))
            sets_P = random.permutation(np.repeat(np.arange(len(quotas)), quotas))
            ranks_P = np.empty_like(sets_P)
            for chosen, quota in enumerate(quotas):
                ranks_P[sets_P == chosen] = np.arange(quota)
            return _Block(before, sets_P, ranks_P)

        return lru_cache(maxsize=2)(deal)

    @cached_property
    def _passes(self) -> list[Callable[[int], NDArray[np.int64]]]:
        """The permutation of each pass over each set."""

        def of(chosen: int) -> Callable[[int], NDArray[np.int64]]:
            def shuffle(epoch: int) -> NDArray[np.int64]:
                random = np.random.default_rng((self.seed, _PASS, chosen, epoch))
                return random.permutation(self.sizes[chosen])

            return lru_cache(maxsize=2)(shuffle)

        return [of(chosen) for chosen in range(len(self.sizes))]
