"""Whether pictures of classes show them: a linear probe names the class, up to a ceiling.

Legend: n pictures, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from textok.metrics.alignment import fit_text_probe
from textok.metrics.interval import Interval, mean_interval


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Pictures with the number of each one's class."""

    features: Tensor
    """(n, F)."""
    labels: list[int]

    def evenly(self, limit: int) -> Labelled:
        """At most ``limit`` of them, spread over the classes: sorted by class, evenly spaced."""
        rows = sorted(range(len(self.labels)), key=self.labels.__getitem__)
        count = min(limit, len(rows))
        rows = [rows[i * len(rows) // count] for i in range(count)]
        return Labelled(features=self.features[rows], labels=[self.labels[row] for row in rows])


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy:
    """Share of pictures whose class the probe names, and what it lies between."""

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
        """Where the drawn pictures lie between floor (0) and ceiling (1); None if they meet."""
        if self.real.mean == self.chance:
            return None
        return (self.drawn.mean - self.chance) / (self.real.mean - self.chance)


def class_accuracy(
    *, drawn: Labelled, real: Labelled, training: Labelled, classes: int
) -> ClassAccuracy:
    """Fit the probe on ``training``; let it name the classes of drawn and real pictures.

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


def labelled(features: Tensor, labels: Sequence[str | None], classes: Sequence[str]) -> Labelled:
    """The pictures that are of one of the ``classes``."""
    number = {name: place for place, name in enumerate(classes)}
    rows = [row for row, label in enumerate(labels) if label in number]
    return Labelled(features=features[rows], labels=[number[str(labels[row])] for row in rows])
