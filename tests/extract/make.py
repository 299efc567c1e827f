"""An extraction as the tests ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textok.config.extraction import ExtractConfig
from textok.extract import extract
from textok.latents.index import LatentIndex


def make_latents(tokenizer: str | Path, **settings: Any) -> dict[str, LatentIndex]:
    """On the CPU, by the settings of ``textok extract``."""
    return extract(ExtractConfig(tokenizer=str(tokenizer), device="cpu", **settings))
