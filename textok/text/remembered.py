"""Features of some captions in main memory."""

from __future__ import annotations

from collections.abc import Sequence

from textok.text.encoder import TextEncoder
from textok.types import TextFeatures

_BATCH = 32


class RememberedText:
    """What ``encoder`` says of ``captions``, asked once and never again."""

    def __init__(self, encoder: TextEncoder, captions: Sequence[str]) -> None:
        distinct = list(dict.fromkeys(captions))
        self._rows: dict[str, TextFeatures] = {}
        for start in range(0, len(distinct), _BATCH):
            batch = distinct[start : start + _BATCH]
            features = encoder(batch).to("cpu")
            self._rows |= {caption: features[row : row + 1] for row, caption in enumerate(batch)}

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        return TextFeatures.cat([self._rows[caption] for caption in captions])
