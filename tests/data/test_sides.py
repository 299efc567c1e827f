from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from textok.config import DataConfig
from textok.data.images import open_captioned_images
from textok.data.items import augmentation_of
from textok.data.order import Draw
from textok.data.sides import names_a_side


@pytest.mark.parametrize(
    "caption",
    [
        "a dog on the left",
        "Right: a cat",
        "the leftmost cup",
        "a left-handed player",
        "turn leftwards",
    ],
)
def test_captions_that_name_a_side(caption: str) -> None:
    assert names_a_side(caption)


@pytest.mark.parametrize(
    "caption", ["", "a bright light", "cleft rocks", "an upright piano", "fright"]
)
def test_captions_that_do_not(caption: str) -> None:
    assert not names_a_side(caption)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    half = np.zeros((8, 8, 3), np.uint8)
    half[:, :4] = 255
    for name, caption in {"a": "a white left half", "b": "black and white"}.items():
        Image.fromarray(half).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(caption)
    return tmp_path


@pytest.mark.parametrize(("keep", "expected"), [(True, (0, 1)), (False, (1, 1))])
def test_training_mirrors_no_image_whose_caption_it_would_contradict(
    folder: Path, keep: bool, expected: tuple[int, int]
) -> None:
    config = DataConfig(path=str(folder), flip=True, keep_sides=keep)
    images = open_captioned_images(config, image_size=8)
    flips = [
        {augmentation_of(images, 0, Draw(epoch, image)).flip for epoch in range(40)}
        for image in (0, 1)
    ]

    assert tuple(int(True in flip) for flip in flips) == expected
    assert images.report.sided == (1 if keep else 0)
    assert ("1 captions say left or right" in images.report.summary()) == keep
