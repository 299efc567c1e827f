"""Well-known data sets whose files say less than their authors know, a module each.

A layout is a function that looks at a folder: None where it is another one, else what reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textok.config.data import SourceConfig
from textok.data.layouts import flickr8k
from textok.data.source import Source

Layout = Callable[[Path, SourceConfig], Source | None]
LAYOUTS: tuple[Layout, ...] = (flickr8k.find,)


def find_layout(root: Path, config: SourceConfig) -> Source | None:
    """How the folder is read, if it is one of the ``LAYOUTS``."""
    found = (find(root, config) for find in LAYOUTS)
    return next((source for source in found if source is not None), None)
