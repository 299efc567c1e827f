"""Which images an evaluation generates: their captions or classes, seeds and real twins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from textok.config.evaluation import CaptionMode
from textok.data import CaptionedImages
from textok.data.order import evenly_spaced
from textok.evaluate.captions import captions_by_key


@dataclass(frozen=True, kw_only=True)
class Samples:
    """N images to generate, in order."""

    conditions: list[str]
    """The caption or class of each."""
    seeds: list[int]
    """Image i has the first seed + i, whichever process generates it."""
    labels: list[int] | None
    """The number of each class; None where the generator takes captions."""
    twins: list[int | None]
    """The place of a real image of the same caption or class, where there is one."""
    captions: list[str] | None = None
    """What the decoder reads of each; None where that is up to the generator."""

    def __len__(self) -> int:
        return len(self.conditions)


def samples_by_caption(
    images: CaptionedImages, *, count: int, mode: CaptionMode, seed: int
) -> Samples:
    """``count`` images for the captions of ``images``, again with new seeds where they run out.

    Fewer images than captions are evenly spaced over them. Raises ValueError without captions.
    """
    captions = list(captions_by_key(mode, images.records).values())
    places = [place for place, caption in enumerate(captions) if caption]
    if not places:
        raise ValueError(
            f"{images.config.path} has no captions, and this generator takes captions: "
            "add them as docs/data.md says"
        )
    size = len(places)
    chosen = evenly_spaced(size, count) if count < size else [i % size for i in range(count)]
    twins = [places[place] for place in chosen]
    return Samples(
        conditions=[captions[twin] for twin in twins],
        seeds=list(range(seed, seed + count)),
        labels=None,
        twins=list(twins),
    )


def samples_by_class(
    images: CaptionedImages, *, count: int, classes: Sequence[str], seed: int
) -> Samples:
    """``count`` images, class by class in turn: no class has two more than another."""
    members = defaultdict(list)
    for place, record in enumerate(images.records):
        members[record.label].append(place)
    labels = [i % len(classes) for i in range(count)]
    twins: list[int | None] = []
    for i, label in enumerate(labels):
        own = members[classes[label]]
        twins.append(own[i // len(classes) % len(own)] if own else None)
    return Samples(
        conditions=[classes[label] for label in labels],
        seeds=list(range(seed, seed + count)),
        labels=labels,
        twins=twins,
    )
