"""What gives an extraction the features of its captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from textok.config.data import TextStoreConfig
from textok.runtime.processes import join_processes
from textok.text import FeatureCache, load_text_encoder
from textok.text.together import Together
from textok.tokenizer import Tokenizer


def open_text(
    tokenizer: Tokenizer,
    captions: Sequence[str],
    text: TextStoreConfig,
    *,
    default: Path,
    device: torch.device,
) -> FeatureCache | Together | None:
    """Features of ``captions`` stored in ``text.cache`` or ``default``, or an encoder that each
    process has a part of.

    None where a whole encoder is asked batch by batch, or none at all: no folder is needed.
    """
    config = tokenizer.text_config
    if config is None or tokenizer.config.text == "none":
        return None
    config = replace(config, store=text.store, shard=text.shard)
    if text.store != "nothing":
        folder = Path(text.cache) if text.cache else default
        cache = FeatureCache(config, folder, device=device)
        cache.warm(captions)
        return cache
    if text.shard and join_processes()[1] > 1:
        return Together(load_text_encoder(config, device=device, shard=True))
    return None
