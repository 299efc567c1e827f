"""Divide the images so that no concept crosses train, val and test."""

from __future__ import annotations

from collections.abc import Mapping

from textok.datasets.pictograms.captions import share

SPLITS = ("train", "val", "test", "test_seen")
UNSHIPPED_STYLE = "openmoji"
"""The style that models which ship never see: it does not count as another style of a concept."""


def split_of(concept: str) -> str:
    """Return "train" (90 %), "val" or "test" (5 % each) by a hash of the concept."""
    place = share(f"split {concept}")
    return "train" if place < 0.90 else "val" if place < 0.95 else "test"


def assign_splits(pictures: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return the split of every image.

    About 3 % of the train images go to "test_seen": all images of a concept in one style, as
    long as train keeps that concept in another style.

    Args:
        pictures: by key, concept and style.
    """
    kept: dict[str, set[str]] = {}
    for concept, style in pictures.values():
        kept.setdefault(concept, set()).add(style)
    seen: set[tuple[str, str]] = set()
    for concept, styles in kept.items():
        for style in sorted(styles):
            others = styles - {style, UNSHIPPED_STYLE}
            if others and share(f"seen {concept} {style}") < 0.034:
                styles.remove(style)
                seen.add((concept, style))
    return {
        key: "test_seen"
        if split_of(concept) == "train" and (concept, style) in seen
        else split_of(concept)
        for key, (concept, style) in pictures.items()
    }
