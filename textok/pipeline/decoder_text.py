"""Where the tokenizer's decoder gets the features of its captions from."""

from __future__ import annotations

import torch

from textok.pipeline.folder import PipelineParts
from textok.text import TextFeaturesSource, open_features
from textok.text.open import same_features


def open_decoder_text(
    parts: PipelineParts, prompts: TextFeaturesSource | None, *, device: torch.device | str
) -> TextFeaturesSource | None:
    """``prompts``, the generator's source, where both read the same features, else one of its own.

    None where the decoder reads no text. Raises ValueError for a tokenizer that reads captions but
    names no text encoder.
    """
    config = parts.tokenizer.text_config
    if not parts.tokenizer.config.decoder_reads_text:
        return None
    if config is None:
        raise ValueError("the tokenizer reads captions but names no text encoder")
    if prompts is not None and parts.text is not None and same_features(config, parts.text):
        return prompts
    return open_features(config, device=device, one_by_one=True)
