"""The captions of each class, some of them held out, as pipelines keep them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from textok.config.captioning import CaptionsByClassConfig
from textok.config.check import require
from textok.config.data import DataConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.class_captions import ClassCaptions, write_class_captions
from textok.runtime.files import require_writable


def captions_by_class(config: CaptionsByClassConfig) -> dict[str, ClassCaptions]:
    """Write the distinct captions of each class, a share of them as held out, to ``out``.

    A class without captions gets ``template``. Which captions are held out depends on their
    words and the seed alone: it stays so when images are added, and equal words are never on both
    sides. A class with two captions or more holds at least one out.

    Raises:
        ValueError: the images have no classes.
    """
    templates, out = config.template, config.out
    require_writable(out.parent)
    images = open_classes(config.data)
    texts: dict[str, set[str]] = {name: set() for name in images.classes}
    for record in images.records:
        if record.label is not None:
            texts[record.label].update(record.captions)
    captions = {
        name: split_captions(found, config.held_out, config.seed)
        if found
        else from_templates(name, templates)
        for name, found in texts.items()
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_class_captions(out, captions)
    return captions


def open_classes(data: DataConfig) -> CaptionedImages:
    """The images of ``data``. Raises ValueError where they have no classes."""
    images = open_captioned_images(data, image_size=1)
    require(bool(images.classes), f"{data.path}: the images have no classes; see docs/data.md")
    return images


def split_captions(texts: Iterable[str], share: float, seed: int) -> ClassCaptions:
    """A ``share`` of the texts as held out, at least one of several where it is above 0."""
    drawn = sorted((_draw(text, seed), text) for text in texts)
    count = sum(value < share for value, _ in drawn)
    if share and len(drawn) > 1:
        count = max(count, 1)
    return ClassCaptions(
        train=tuple(sorted(text for _, text in drawn[count:])),
        held_out=tuple(sorted(text for _, text in drawn[:count])),
    )


def _draw(text: str, seed: int) -> float:
    """A number in [0, 1) that is the caption's own."""
    digest = hashlib.sha256(f"{seed} {text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def from_templates(name: str, templates: Sequence[str]) -> ClassCaptions:
    """What can be said of a class by its name alone."""
    words = " ".join(name.replace("_", " ").replace("-", " ").split())
    return ClassCaptions(held_out=tuple(t.replace("{class}", words) for t in templates))
