"""The bundled images with their captions."""

from __future__ import annotations

from pathlib import Path

from textok.config import DataConfig
from textok.data import open_captioned_images

ASSETS = Path(__file__).parents[1] / "assets"
SAMPLE = ASSETS / "sample"
"""A few hundred pictograms in the layout of `textok data pictograms`, with their licences."""
SHOWN = ASSETS / "shown"
"""Drawings of products, by `textok.datasets.pictograms.products`, with their licences."""


def sample_pictures(count: int) -> tuple[list[Path], list[str]]:
    """Files and captions of the first ``count`` products; no model was trained on them."""
    config = DataConfig(path=str(SHOWN), split="", workers=0)
    chosen = open_captioned_images(config, image_size=64, quiet=True).records[:count]
    return [record.file for record in chosen], [record.captions[0] for record in chosen]
