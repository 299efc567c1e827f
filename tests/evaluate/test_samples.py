from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from textok.config import DataConfig
from textok.data import CaptionedImages, ReadReport, Record
from textok.evaluate.samples import samples_by_caption, samples_by_class


def images(*records: tuple[str | None, tuple[str, ...]]) -> CaptionedImages:
    return CaptionedImages(
        config=DataConfig(path="here"),
        image_size=8,
        records=[
            Record(key=str(place), captions=captions, label=label, file=Path(str(place)))
            for place, (label, captions) in enumerate(records)
        ],
        classes=[],
        report=ReadReport(),
    )


PETS = images(("cat", ("a cat", "cat")), (None, ()), ("dog", ("a dog",)), ("cat", ("two cats",)))


def test_captions_come_again_with_new_seeds() -> None:
    samples = samples_by_caption(PETS, count=5, mode="true", seed=7)

    assert samples.conditions == ["a cat", "a dog", "two cats", "a cat", "a dog"]
    assert samples.seeds == [7, 8, 9, 10, 11]
    assert samples.twins == [0, 2, 3, 0, 2]
    assert samples.labels is None


def test_fewer_pictures_are_spread_over_the_captions() -> None:
    assert samples_by_caption(PETS, count=2, mode="plain", seed=0).conditions == ["cat", "a dog"]
    many = images(*[(None, (str(place),)) for place in range(100)])
    assert samples_by_caption(many, count=4, mode="true", seed=0).twins == [0, 25, 50, 75]


def test_classes_are_balanced_and_have_their_twins() -> None:
    samples = samples_by_class(PETS, count=8, classes=["cat", "dog", "owl"], seed=0)

    assert Counter(samples.conditions) == {"cat": 3, "dog": 3, "owl": 2}
    assert samples.labels == [0, 1, 2, 0, 1, 2, 0, 1]
    assert samples.twins == [0, 2, None, 3, 2, None, 0, 2]


def test_no_captions() -> None:
    with pytest.raises(ValueError, match="here has no captions, and this generator takes captions"):
        samples_by_caption(images(("cat", ())), count=1, mode="true", seed=0)
