"""Well-known data sets in the layouts in which they are published, a module each.

A layout is a function that looks at a folder: None where it is another one, else what reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textok.data.layouts import flickr8k, flickr8k_kaggle
from textok.data.source import Source

LAYOUTS: tuple[Callable[[Path], Source | None], ...] = (flickr8k.find, flickr8k_kaggle.find)


def find_layout(root: Path) -> Source | None:
    """How the folder is read, if it is one of the ``LAYOUTS``."""
    return next((layout for find in LAYOUTS if (layout := find(root)) is not None), None)
