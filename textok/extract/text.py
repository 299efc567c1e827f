"""What gives an extraction the features of its captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from textok.config.data import Store
from textok.runtime.processes import join_processes
from textok.text import FeatureCache, load_text_encoder
from textok.text.together import Together
from textok.tokenizer import Tokenizer


def open_text(
    tokenizer: Tokenizer,
    captions: Sequence[str],
    folder: Path,
    *,
    store: Store,
    shard: bool,
    device: torch.device,
) -> FeatureCache | Together | None:
    """Features of ``captions`` stored in ``folder``, or an encoder that each process has a part of.

    None where a whole encoder is asked batch by batch, or none at all: nobody needs ``folder``.
    """
    config = tokenizer.text_config
    if config is None or tokenizer.config.text == "none":
        return None
    config = replace(config, store=store, shard=shard)
    if store != "nothing":
        cache = FeatureCache(config, folder, device=device)
        cache.warm(captions)
        return cache
    if shard and join_processes()[1] > 1:
        return Together(load_text_encoder(config, device=device, shard=True))
    return None
