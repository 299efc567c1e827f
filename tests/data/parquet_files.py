"""Small parquet files as the `datasets` library writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import encoded
from textok.config import DataConfig
from textok.data import CaptionedImages, open_captioned_images

datasets = pytest.importorskip("datasets")


def opened(path: Path | str, split: str = "train", **options: Any) -> CaptionedImages:
    config = DataConfig(path=str(path), split=split, **options)
    return open_captioned_images(config, image_size=8)


def levels(images: CaptionedImages) -> list[int]:
    return [int(images.read(index).mean()) for index in range(len(images))]


def pictures(count: int, first: int = 0) -> list[dict[str, object]]:
    """Grey squares of 10 times their number."""
    return [{"bytes": encoded(10 * n), "path": None} for n in range(first, first + count)]


def write(path: Path, columns: Mapping[str, Any], **features: Any) -> Path:
    """Columns as `datasets` writes them; ``image`` is an Image, others by ``features``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(dict(columns))
    if "image" in columns and "image" not in features:
        features["image"] = datasets.Image()
    for name, feature in features.items():
        table = table.cast_column(name, feature)
    table.to_parquet(path)
    return path
