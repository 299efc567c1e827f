"""Features of the captions of stored latents, for the generator and for the tokenizer's decoder.

They lie beside the latents, where ``textok extract`` may have put them already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from textok.config import TrainGeneratorConfig, TrainMaskGITConfig
from textok.pipeline.folder import PipelineParts
from textok.text import TextFeaturesSource
from textok.train.session import Session

CACHE = "text-cache"


def open_prompt_text(
    config: TrainGeneratorConfig | TrainMaskGITConfig,
    session: Session,
    captions: Sequence[str],
    folder: Path,
) -> TextFeaturesSource | None:
    """The features of all ``captions``, and the prompts; None where the condition is a class."""
    if config.generator.condition == "class":
        return None
    return session.open_text(config.text, [*captions, *config.prompts], default=folder / CACHE)


def open_decoder_text(
    config: TrainGeneratorConfig | TrainMaskGITConfig,
    session: Session,
    captions: Sequence[str],
    folder: Path,
    parts: PipelineParts,
) -> TextFeaturesSource | None:
    """The features that the tokenizer's decoder reads; None for one that reads none."""
    text = parts.tokenizer.text_config
    if text is None or not parts.tokenizer.config.decoder_reads_text:
        return None
    drawn = [captions.draw(name, seed=0) for name, captions in parts.class_captions.items()]
    ways = config.text
    text = replace(text, cache=ways.cache, store=ways.store, shard=ways.shard)
    return session.open_text(text, [*captions, *(drawn or config.prompts)], default=folder / CACHE)
