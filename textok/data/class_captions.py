"""Captions of classes: those that training reads, and those kept from it."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from textok.config.read import build
from textok.runtime.files import write_text
from textok.runtime.pretrained import read_json

TRAINING = ("train", "training", "")
"""Values of ``data.split`` that are trained on; all others are held out."""


@dataclass(frozen=True, kw_only=True)
class ClassCaptions:
    """Captions of one class."""

    train: tuple[str, ...] = ()
    """Seen in training."""
    held_out: tuple[str, ...] = ()
    """Not seen in training."""

    def of_split(self, split: str) -> tuple[str, ...]:
        """What images of a split read: ``train`` in training, ``held_out`` in other splits.

        A class without any held out gives its training captions there too.
        """
        return self.train if split in TRAINING else self.held_out or self.train

    def draw(self, name: str, *, seed: int) -> str:
        """A caption for an image of the class ``name``, decided by ``seed`` alone.

        One not seen in training, as TexTok samples (arXiv 2412.05796, section 4); else one that
        was; else a sentence with the class's name.
        """
        known = self.held_out or self.train or (class_sentence(name),)
        return random.Random(seed).choice(known)


def for_image(captions: tuple[str, ...], key: str) -> tuple[str, ...]:
    """``captions`` from a place on that is drawn by ``key``, all of them in turn.

    So the first one, which evaluations read, differs between the images of a class.
    """
    start = int(hashlib.sha256(key.encode()).hexdigest()[:12], 16) % max(1, len(captions))
    return captions[start:] + captions[:start]


def class_sentence(name: str) -> str:
    """A caption that says no more than the name of a class."""
    return f"a photo of a {' '.join(name.replace('_', ' ').replace('-', ' ').split())}"


def write_class_captions(path: Path, captions: Mapping[str, ClassCaptions]) -> None:
    """Write ``{class: {"train": [...], "held_out": [...]}}``.

    Raises ValueError where another kind of file lies.
    """
    if path.exists():
        try:
            read_class_captions(path)
        except ValueError as error:
            raise ValueError(
                f"{path} is there already and has no captions of classes: choose another name"
            ) from error
    data = {name: asdict(of_class) for name, of_class in captions.items()}
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read_class_captions(path: Path) -> dict[str, ClassCaptions]:
    """Read ``write_class_captions``. Raises ValueError naming file and class."""
    captions = {}
    for name, found in read_json(path).items():
        where = f"{path}: {name}"
        if not isinstance(found, Mapping):
            raise ValueError(f"{where}: not a mapping with 'train' and 'held_out'")
        captions[name] = build(ClassCaptions, found, where=where)
    return captions
