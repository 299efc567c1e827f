"""Notes that a run leaves for the next one: whole, or none."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from textok.config.read import build
from textok.runtime.pretrained import read_json

Note = TypeVar("Note")


def read_note(path: Path, kind: type[Note]) -> Note | None:
    """The dataclass ``kind`` that was written to ``path`` as JSON.

    None where there is none, and where it is damaged: what it is of is made again.
    """
    try:
        return build(kind, read_json(path))
    except (OSError, ValueError):
        return None
