"""The captions of each class, some of them held out, as pipelines keep them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from textok.config.captioning import CaptionsByClassConfig
from textok.config.check import require
from textok.config.data import DataConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.class_captions import (
    ClassCaptions,
    read_class_captions,
    write_class_captions,
)
from textok.runtime.files import require_writable


def captions_by_class(config: CaptionsByClassConfig) -> dict[str, ClassCaptions]:
    """Write the distinct captions of each class, a share of them as held out, to ``out``.

    A class without captions gets ``template``. How captions are held out is told by
    :func:`split_captions`.

    Raises:
        ValueError: the images have no classes.
    """
    templates, out = config.template, config.out
    check_out(out)
    images = open_classes(config.data)
    texts: dict[str, set[str]] = {name: set() for name in images.classes}
    for record in images.records:
        if record.label is not None:
            texts[record.label].update(record.captions)
    captions = split_captions(texts, config.held_out, config.seed)
    for name in texts:
        if not texts[name]:
            captions[name] = from_templates(name, templates)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_class_captions(out, captions)
    return captions


def check_out(out: Path) -> None:
    """Raise ValueError where a file lies that holds no captions by class, OSError where none can.

    Called before any work.
    """
    require_writable(out.parent)
    if out.exists():
        try:
            read_class_captions(out)
        except ValueError:
            raise ValueError(
                f"{out} is there already and holds no captions by class: choose another file"
            ) from None


def open_classes(data: DataConfig) -> CaptionedImages:
    """The images of ``data``. Raises ValueError where they have no classes."""
    images = open_captioned_images(data, image_size=1)
    require(bool(images.classes), f"{data.path}: the images have no classes; see docs/data.md")
    return images


def split_captions(
    texts: Mapping[str, Iterable[str]], share: float, seed: int
) -> dict[str, ClassCaptions]:
    """A ``share`` of the texts of each class as held out, and all others to train on.

    What is held out depends on the words and the seed: it stays so when other texts are added, and
    equal words, of several classes too, are never on both sides. With a share above 0 a class
    of two texts or more holds at least one out, and with one below 1 each class keeps at least one
    to train on, where the texts that it has in common with others allow both.
    """
    drawn = {
        name: sorted((_draw(text, seed), text) for text in set(of_class))
        for name, of_class in texts.items()
    }
    held = {text for of_class in drawn.values() for value, text in of_class if value < share}
    if share > 0:
        held |= {of_class[0][1] for of_class in drawn.values() if len(of_class) > 1}
    if share < 1:
        held -= {
            of_class[-1][1]
            for of_class in drawn.values()
            if of_class and all(text in held for _, text in of_class)
        }
    return {
        name: ClassCaptions(
            train=tuple(sorted(text for _, text in of_class if text not in held)),
            held_out=tuple(sorted(text for _, text in of_class if text in held)),
        )
        for name, of_class in drawn.items()
    }


def _draw(text: str, seed: int) -> float:
    """A number in [0, 1) that is the caption's own."""
    digest = hashlib.sha256(f"{seed} {text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def from_templates(name: str, templates: Sequence[str]) -> ClassCaptions:
    """What can be said of a class by its name alone."""
    words = " ".join(name.replace("_", " ").replace("-", " ").split())
    return ClassCaptions(held_out=tuple(t.replace("{class}", words) for t in templates))
