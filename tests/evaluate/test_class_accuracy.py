from __future__ import annotations

from pathlib import Path

import pytest
import torch

from textok.config import DataConfig
from textok.data import CaptionedImages, ReadReport, Record
from textok.evaluate.class_accuracy import ClassAccuracy, Labelled, class_accuracy, labelled
from textok.evaluate.image_features import ImageFeatures
from textok.metrics.interval import Interval

CLASSES, WIDTH = 4, 12


def pictures(count: int, *, noise: float, seed: int) -> Labelled:
    """Features about one centre a class, classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    labels = [place % CLASSES for place in range(count)]
    centres = torch.eye(WIDTH)[:CLASSES] * 5
    features = centres[labels] + noise * torch.randn(count, WIDTH, generator=generator)
    return Labelled(features=features, labels=labels)


TRAINING, REAL = pictures(200, noise=0.5, seed=0), pictures(80, noise=0.5, seed=1)


def accuracy(drawn: Labelled) -> ClassAccuracy:
    return class_accuracy(drawn=drawn, real=REAL, training=TRAINING, classes=CLASSES)


def test_pictures_of_their_classes_reach_the_ceiling() -> None:
    found = accuracy(REAL)

    assert (found.classes, found.training_images, found.chance) == (4, 200, 0.25)
    assert found.drawn.mean == found.real.mean == 1.0
    assert found.position == 1.0


def test_one_in_four_of_the_wrong_class() -> None:
    labels = [
        (label + 1) % CLASSES if place < 20 else label for place, label in enumerate(REAL.labels)
    ]
    found = accuracy(Labelled(features=REAL.features, labels=labels))

    assert found.drawn.mean == 0.75
    assert found.drawn.low < 0.75 < found.drawn.high
    assert found.position == pytest.approx((0.75 - 0.25) / 0.75)


def test_pictures_of_nothing_are_at_chance() -> None:
    noise = torch.randn(4000, WIDTH, generator=torch.Generator().manual_seed(2))
    found = accuracy(Labelled(features=noise, labels=[n % CLASSES for n in range(4000)]))

    assert found.drawn.mean == pytest.approx(0.25, abs=0.03)


def test_a_class_that_training_lacks_is_never_named() -> None:
    rows = [row for row, label in enumerate(TRAINING.labels) if label != 2]
    training = Labelled(
        features=TRAINING.features[rows], labels=[TRAINING.labels[row] for row in rows]
    )
    found = class_accuracy(drawn=REAL, real=REAL, training=training, classes=CLASSES)

    assert found.drawn.mean == 0.75
    assert found.chance == 0.25


def test_a_ceiling_at_chance_has_no_position() -> None:
    level = Interval(mean=0.25, low=0.2, high=0.3)
    found = ClassAccuracy(classes=4, drawn=level, real=level, training_images=9, strength=1.0)

    assert found.position is None


@pytest.mark.parametrize("labels", [[], [1] * 200])
def test_too_little_to_learn_from(labels: list[int]) -> None:
    training = Labelled(features=torch.rand(len(labels), WIDTH), labels=labels)
    with pytest.raises(ValueError, match="needs real images of these classes"):
        class_accuracy(drawn=REAL, real=REAL, training=training, classes=CLASSES)


def test_images_of_the_classes_alone_and_evenly() -> None:
    records = [
        Record(key=str(place), file=Path(), captions=(), label=label)
        for place, label in enumerate(["b", None, "a", "c", "b", "a", "b"])
    ]
    images = CaptionedImages(
        config=DataConfig(), image_size=8, records=records, classes=[], report=ReadReport()
    )
    measured = ImageFeatures(images=images, features=torch.arange(7.0)[:, None])
    found = labelled(measured, ["a", "b"])
    few = labelled(measured, ["a", "b"], limit=3)

    assert found.labels == [1, 0, 1, 0, 1]
    assert found.features.flatten().tolist() == [0, 2, 4, 5, 6]
    # By class 2, 5 | 0, 4, 6: every 5/3.
    assert (few.labels, few.features.flatten().tolist()) == ([0, 0, 1], [2, 5, 4])
    assert labelled(measured, ["a", "b"], limit=99).labels == [0, 0, 1, 1, 1]
