"""Features encoded when they are needed, not stored."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property

import torch

from textok.config.data import TextConfig
from textok.runtime.processes import gather, join_processes
from textok.text.encoder import FrozenTextEncoder, load_text_encoder, load_tokenizer
from textok.text.folder import find_text_model
from textok.text.source import FeaturesInMemory, TextFeaturesSource
from textok.text.unread import SHOWN, Vocabulary, advice, cut, tell_unread
from textok.types import TextFeatures

REMEMBERED = 64
SAMPLE = 10_000
"""Captions that are looked through for words that cannot be read."""


class FeaturesOnTheFly(TextFeaturesSource):
    """Encodes the captions of each call; the text encoder is loaded at the first.

    With ``one_by_one`` each caption is encoded alone, so that its features are the same, bit for
    bit, whatever is read beside it; all of a call are kept and at least the latest REMEMBERED, and
    one that is too long is cut with a warning that says where.

    With ``config.shard`` each process holds a part of the encoder's weights, and all have to call
    at the same time. With ``uneven`` they need not call equally often: a call waits until each
    other process calls too, or has come to ``finish``.
    """

    prefetchable = False

    def __init__(
        self,
        config: TextConfig,
        *,
        device: torch.device | str,
        one_by_one: bool = False,
        uneven: bool = False,
    ) -> None:
        self._config, self._device = config, device
        self._shard = config.shard and join_processes()[1] > 1
        self._uneven = uneven and self._shard
        self._one_by_one = one_by_one
        self._kept: dict[str, TextFeatures] = {}

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        if self._one_by_one:
            return self._each_alone(captions)
        if not self._uneven:
            return self._encoder(captions)
        gather(True)
        # Weights that are put together in inference mode could not be written to outside of it.
        with torch.inference_mode(False):
            return self._encoder(captions)

    def warm(self, captions: Sequence[str]) -> None:
        """Nothing is stored; of a sample it is said how many cannot be read."""
        distinct = [caption for caption in dict.fromkeys(captions) if caption.strip()]
        if join_processes()[0] or not distinct:
            return
        step = -(-len(distinct) // SAMPLE)
        some = distinct[::step]
        unread = Vocabulary(load_tokenizer(find_text_model(self._config.encoder, weights=False)))
        lost = [one for one, bad in zip(some, unread.unread(some), strict=True) if bad]
        tell_unread(self._config.encoder, lost, len(some), sample=step > 1)

    def precomputed(self, captions: Sequence[str]) -> TextFeaturesSource:
        return FeaturesInMemory(self, captions)

    def finish(self) -> None:
        while self._uneven and any(gather(False)):
            self._encoder([""])

    @cached_property
    def _encoder(self) -> FrozenTextEncoder:
        with torch.inference_mode(False):
            return load_text_encoder(self._config, device=self._device, shard=self._shard)

    def _each_alone(self, captions: Sequence[str]) -> TextFeatures:
        kept, found = self._kept, dict[str, TextFeatures]()
        for one in dict.fromkeys(captions):
            found[one] = kept[one] if one in kept else self._encode_one(one)
        latest = {one: kept[one] for one in kept if one not in found} | found
        for one in list(latest)[: -max(REMEMBERED, len(found))]:
            del latest[one]
        self._kept = latest
        return TextFeatures.cat([found[caption] for caption in captions])

    def _encode_one(self, caption: str) -> TextFeatures:
        kept = self._encoder.kept(caption)
        if kept != caption:
            last = " ".join(kept.split()[-4:])
            warnings.warn(
                f"text cut after '... {last}': {self._config.encoder} reads "
                f"{self._encoder.limit} tokens",
                stacklevel=2,
            )
        if words := self._encoder.vocabulary.unread_words(caption):
            shown = ", ".join(map(cut, words[:SHOWN])) + ", ..." * (len(words) > SHOWN)
            warnings.warn(
                f"text.encoder {self._config.encoder} cannot read {shown} in the text "
                f"{cut(caption)}: {advice(self._config.encoder)}",
                stacklevel=2,
            )
        return self._encoder([caption])
