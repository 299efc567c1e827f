"""The bundled pictures with their captions."""

from __future__ import annotations

from pathlib import Path

from textok.config import DataConfig
from textok.data import open_captioned_images

SAMPLE = Path(__file__).parents[1] / "assets" / "sample"
"""A few hundred pictograms in the layout of `textok data pictograms`, with their licences."""


def sample_pictures(count: int) -> tuple[list[Path], list[str]]:
    """Files and captions of ``count`` pictures, evenly spread over the sample's test split."""
    config = DataConfig(path=str(SAMPLE), split="test", workers=0)
    records = open_captioned_images(config, image_size=64).records
    chosen = [records[index * len(records) // count] for index in range(count)]
    return [record.file for record in chosen], [record.captions[0] for record in chosen]
