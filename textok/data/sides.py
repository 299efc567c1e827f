"""Captions that a mirrored image would contradict."""

from __future__ import annotations

import re

_SIDE = re.compile(r"\b(left|right)(?:most|ward|wards|hand|handed)?\b", re.IGNORECASE)


def names_a_side(caption: str) -> bool:
    """Whether ``caption`` says left or right, as in "a dog on the left" or "left-hand"."""
    return _SIDE.search(caption) is not None
