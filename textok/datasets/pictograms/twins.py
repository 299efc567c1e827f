"""Find images that look alike, by the RMS difference of 16 x 16 thumbnails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textok.datasets.pictograms.render import Measurement

NEAR_DUPLICATE = 1.5
LOOKALIKE = 10.0
BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two images by key and the RMS difference of their thumbnails, in steps of 0..255."""

    first: str
    second: str
    distance: float


def near_pairs(
    firsts: Sequence[str],
    seconds: Sequence[str],
    measurements: Mapping[str, Measurement],
    *,
    below: float,
) -> Iterator[Pair]:
    """Yield the pairs of a first and another, second image that differ by less than ``below``."""
    left, right = _thumbs(firsts, measurements), _thumbs(seconds, measurements)
    right_norms = (right**2).sum(1)
    for start in range(0, len(firsts), BLOCK):
        block = left[start : start + BLOCK]
        # |a - b|^2 = |a|^2 - 2ab + |b|^2: sums of integers below 2^53, hence exact in float64.
        squares = (block**2).sum(1)[:, None] - 2 * (block @ right.T) + right_norms
        rms = np.sqrt(squares / left.shape[1])
        for i, j in np.argwhere(rms < below):
            first, second = firsts[start + i], seconds[j]
            if first != second:
                yield Pair(first=first, second=second, distance=float(rms[i, j]))


def _thumbs(
    keys: Sequence[str], measurements: Mapping[str, Measurement]
) -> npt.NDArray[np.float64]:
    raw = b"".join(bytes.fromhex(measurements[key].thumb) for key in keys)
    return np.frombuffer(raw, dtype=np.uint8).reshape(len(keys), -1).astype(np.float64)
