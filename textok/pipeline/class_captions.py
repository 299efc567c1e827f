"""What is known to be said of the pictures of a class, for the tokenizer's decoder to read."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from textok.config.read import build
from textok.runtime.pretrained import read_json


@dataclass(frozen=True, kw_only=True)
class ClassCaptions:
    """Captions of one class."""

    train: tuple[str, ...] = ()
    """Seen in training."""
    held_out: tuple[str, ...] = ()
    """Not seen in training."""

    def draw(self, name: str, *, seed: int) -> str:
        """A caption for a picture of the class ``name``, decided by ``seed`` alone.

        One not seen in training, as TexTok samples (arXiv 2412.05796, section 4); else one that
        was; else a sentence with the class's name.
        """
        known = self.held_out or self.train or (class_sentence(name),)
        return random.Random(seed).choice(known)


def class_sentence(name: str) -> str:
    """A caption that says no more than the name of a class."""
    return f"a photo of a {' '.join(name.replace('_', ' ').replace('-', ' ').split())}"


def write_class_captions(path: Path, captions: Mapping[str, ClassCaptions]) -> None:
    """Write ``{class: {"train": [...], "held_out": [...]}}``."""
    data = {name: asdict(of_class) for name, of_class in captions.items()}
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_class_captions(path: Path) -> dict[str, ClassCaptions]:
    """Read ``write_class_captions``. Raises ValueError naming file and class."""
    captions = {}
    for name, found in read_json(path).items():
        where = f"{path}: {name}"
        if not isinstance(found, Mapping):
            raise ValueError(f"{where}: not a mapping with 'train' and 'held_out'")
        captions[name] = build(ClassCaptions, found, where=where)
    return captions
