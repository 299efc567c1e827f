"""Captions to features, each by itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch

from textok.config import TextConfig
from textok.text import load_text_encoder
from textok.text.encoder import FrozenTextEncoder
from textok.types import TextFeatures

REMEMBERED = 64


class CaptionReader:
    """A text encoder that is loaded at the first caption and remembers the latest ones.

    Each caption is encoded alone, so that its features are the same, bit for bit, whatever is
    read beside it. One that is too long is cut, with a warning that says where.
    """

    def __init__(self, config: TextConfig, *, device: torch.device | str = "cpu") -> None:
        self.config = config
        self._device = device
        self._encoder: FrozenTextEncoder | None = None
        self._remembered = lru_cache(REMEMBERED)(self._encode)

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        """Features of B captions; a blank one is a row without real tokens."""
        rows = [self._remembered(caption) for caption in captions]
        return TextFeatures(
            states=torch.cat([row.states for row in rows]),
            mask=torch.cat([row.mask for row in rows]),
        )

    def reads_as(self, config: TextConfig) -> bool:
        """Whether ``config`` asks for the features that this reader gives."""
        return replace(config, drop=self.config.drop).portable == self.config.portable

    def _encode(self, caption: str) -> TextFeatures:
        if self._encoder is None:
            self._encoder = load_text_encoder(self.config, device=self._device)
        kept = self._encoder.kept(caption)
        if kept != caption:
            last = " ".join(kept.split()[-4:])
            warnings.warn(
                f"text cut after '... {last}': {self.config.encoder} reads "
                f"{self._encoder.limit} tokens",
                stacklevel=2,
            )
        return self._encoder([caption])
