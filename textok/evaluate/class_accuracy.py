"""Whether images of classes show them: a linear probe names the class, up to a ceiling.

Legend: n images, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from textok.data.order import evenly_spaced
from textok.evaluate.image_features import ImageFeatures
from textok.metrics.alignment import fit_text_probe
from textok.metrics.interval import Interval, mean_interval


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Images with the number of each one's class."""

    features: Tensor
    """(n, F)."""
    labels: list[int]


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy:
    """Share of images whose class the probe names, and what it lies between."""

    classes: int
    drawn: Interval
    real: Interval
    """Of real images that the probe was not fitted on: the ceiling."""
    training_images: int
    """Images that the probe was fitted on."""
    strength: float
    """Its ridge penalty."""

    @property
    def chance(self) -> float:
        """Of naming classes at random: the floor."""
        return 1 / self.classes

    @property
    def position(self) -> float | None:
        """Where the generated images lie between floor (0) and ceiling (1); None if they meet."""
        if self.real.mean == self.chance:
            return None
        return (self.drawn.mean - self.chance) / (self.real.mean - self.chance)


def class_accuracy(
    *, drawn: Labelled, real: Labelled, training: Labelled, classes: int
) -> ClassAccuracy:
    """Fit the probe on ``training``; let it name the classes of generated and real images.

    Ridge regression from features to one-hot classes, whose nearest by cosine about the mean is the
    answer. Raises ValueError for too few training images, real images or classes among them.
    """
    if not real.labels or len(set(training.labels)) < 2:
        raise ValueError("needs real images of these classes, in training of two or more")
    targets = torch.eye(classes)
    seen = sorted(set(training.labels))
    probe = fit_text_probe(training.features, one_hot(torch.tensor(training.labels), classes))
    places_sC = probe.place(targets[seen])

    def accuracy(pictures: Labelled) -> Interval:
        named = probe.predict(pictures.features) @ places_sC.T
        hits = torch.tensor(seen)[named.argmax(dim=1)] == torch.tensor(pictures.labels)
        return mean_interval(hits.double().tolist())

    return ClassAccuracy(
        classes=classes,
        drawn=accuracy(drawn),
        real=accuracy(real),
        training_images=len(training.labels),
        strength=probe.strength,
    )


def labelled(
    images: ImageFeatures, classes: Sequence[str], *, limit: int | None = None
) -> Labelled:
    """The images that are of one of the ``classes``.

    At most ``limit`` of them, over all classes: sorted by class and evenly spaced.
    """
    number = {name: place for place, name in enumerate(classes)}
    labels = [number.get(record.label or "", -1) for record in images.images.records]
    rows = [row for row, label in enumerate(labels) if label >= 0]
    if limit is not None:
        rows.sort(key=labels.__getitem__)
        rows = [rows[place] for place in evenly_spaced(len(rows), limit)]
    return Labelled(features=images.features[rows], labels=[labels[row] for row in rows])
