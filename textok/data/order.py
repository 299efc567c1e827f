"""Which images make up each training step, as a function of seed and step; evenly spaced ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

_ORDER, _DRAW = 0, 1


class Draw(NamedTuple):
    """One image in one pass over the data."""

    epoch: int
    image: int
    """Its place in the data set."""


class Positions(Protocol):
    """An endless order of images that is not one row of passes over all of them."""

    def at(self, position: int) -> Draw:
        """The image at a position."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """The endless shuffled order of ``size`` images and its cut into micro-batches.

    Positions [s G, (s + 1) G) are the batch of optimiser step s, with G ``global_batch``. They are
    cut into accumulate x world_size equal parts; micro-batch a of rank r is part
    a x world_size + r. Every pass is a fresh permutation; a batch may cross from one to the next.
    With ``mixture`` that order stands in for the passes.
    """

    size: int
    seed: int
    global_batch: int
    accumulate: int
    rank: int
    world_size: int
    mixture: Positions | None = None

    def __post_init__(self) -> None:
        parts = self.accumulate * self.world_size
        if self.global_batch % parts:
            raise ValueError(
                f"a batch of {self.global_batch} cannot be cut into {self.accumulate} micro-batches"
                f" on each of {self.world_size} processes: make it a multiple of {parts}"
            )

    @property
    def micro_batch(self) -> int:
        """Images in one micro-batch of one rank."""
        return self.global_batch // (self.accumulate * self.world_size)

    def micro_batches(self, first_step: int) -> Iterator[list[Draw]]:
        """The micro-batches of this rank from ``first_step`` on, without end."""
        parts = self.accumulate * self.world_size
        for part in count(first_step * parts + self.rank, self.world_size):
            start = part * self.micro_batch
            yield [self.at(position) for position in range(start, start + self.micro_batch)]

    def at(self, position: int) -> Draw:
        """The image at a position of the endless order."""
        if self.mixture is not None:
            return self.mixture.at(position)
        epoch, place = divmod(position, self.size)
        return Draw(epoch, int(_permutation(self.size, self.seed, epoch)[place]))


def draw_generator(seed: int, draw: Draw) -> np.random.Generator:
    """The random numbers (caption, crop, flip) of one image in one pass."""
    return np.random.default_rng((seed, _DRAW, draw.epoch, draw.image))


def evenly_spaced(size: int, count: int) -> list[int]:
    """``count`` places evenly spaced over ``size``, from the first on; all of them if fewer."""
    count = min(size, count)
    return [index * size // count for index in range(count)]


@lru_cache(maxsize=2)
def _permutation(size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, _ORDER, epoch)).permutation(size)
