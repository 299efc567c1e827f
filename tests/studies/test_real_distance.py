"""Where a Frechet distance of few images begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studies.real_distance import Arguments, main, real_distance
from textok.metrics.feature_network import FeatureNetwork

MEANS = FeatureNetwork(
    name="means", metric="FD", width=3, protocol="", extract=lambda images: images.mean((2, 3))
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Grey images: 0 and 102 of 255 in train, 51 and 153 in test."""
    for split, levels in {"train": (0, 102), "test": (51, 153)}.items():
        (tmp_path / split).mkdir()
        for number, level in enumerate(levels):
            grey = np.full((64, 64, 3), level, dtype=np.uint8)
            Image.fromarray(grey).save(tmp_path / split / f"{number}.png")
    return tmp_path


def test_training_images_that_are_lighter_by_a_fifth(data: Path) -> None:
    # The same covariance; every mean is 51 / 255 of the range apart, which has length 2.
    with torch.inference_mode():
        assert real_distance(data, MEANS, 2) == pytest.approx(3 * 0.4**2, abs=1e-5)


def test_a_line_for_each_network(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(Arguments(data=data, feature_networks=("efficientnet_lite0",)))
    name, value = capsys.readouterr().out.split()
    assert name == "FD-EffLite0" and float(value) > 0
    with pytest.raises(ValueError, match=r"limit is 1: it must be >= 2"):
        Arguments(limit=1)
