"""Where the features of captions come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from textok.types import TextFeatures

_BATCH = 32


class TextFeaturesSource(Protocol):
    """Captions to TextFeatures (B, out_tokens, D); a blank caption is a row without real tokens.

    Of several processes, all call ``warm``, ``precomputed`` and ``finish`` together.
    """

    prefetchable: bool = True
    """Whether a background thread may call it: it computes nothing with the other processes."""

    def __call__(self, captions: Sequence[str]) -> TextFeatures: ...

    @property
    def cut(self) -> int:
        """How many of the captions stored were longer than ``max_tokens``."""
        return 0

    def warm(self, captions: Sequence[str]) -> None:
        """Compute and store the features of ``captions``, where this source stores any."""
        return

    def precomputed(self, captions: Sequence[str]) -> TextFeaturesSource:
        """A source of the features of ``captions`` that a single process may call."""
        return self

    def finish(self) -> None:
        """Serve the other processes' calls until they have all come here."""
        return


class FeaturesInMemory(TextFeaturesSource):
    """The features that ``source`` has of ``captions``, computed at once and kept on the CPU."""

    def __init__(self, source: TextFeaturesSource, captions: Sequence[str]) -> None:
        distinct = list(dict.fromkeys(captions))
        self._rows: dict[str, TextFeatures] = {}
        for start in range(0, len(distinct), _BATCH):
            batch = distinct[start : start + _BATCH]
            features = source(batch).to("cpu")
            self._rows |= {caption: features[row : row + 1] for row, caption in enumerate(batch)}

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        return TextFeatures.cat([self._rows[caption] for caption in captions])
