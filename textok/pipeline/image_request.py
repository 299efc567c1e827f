"""Which images are to be generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textok.config.check import require, require_range


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """One image to generate."""

    condition: str
    """A prompt, or the name of a class; blank asks for nothing in particular."""
    seed: int
    """All of the image's randomness follows from it."""
    caption: str | None = None
    """What the tokenizer's decoder reads; None: the prompt, or a caption of the class."""


def image_requests(
    conditions: str | Sequence[str], *, num_images: int, seed: int, caption: str | None = None
) -> list[ImageRequest]:
    """Image j of each prompt or class, with ``seed + j``; those of the first prompt first."""
    require_range("num_images", num_images, 1)
    several = [conditions] if isinstance(conditions, str) else conditions
    require(len(several) > 0, "nothing to draw: give a prompt")
    return [
        ImageRequest(condition=one, seed=seed + j, caption=caption)
        for one in several
        for j in range(num_images)
    ]
