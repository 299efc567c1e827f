"""Which images are to be generated."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from textok.config.check import require, require_range
from textok.pipeline.inputs import Captions, read_captions, read_texts

LEAST_SEED, MOST_SEED = -(2**63), 2**64
"""What a random generator takes; the last one is excluded."""


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """One image to generate."""

    condition: str
    """A prompt, or the name of a class; blank: the null condition."""
    seed: int
    """All of the image's randomness follows from it."""
    caption: str | None = None
    """What the tokenizer's decoder reads; None: the prompt, or a caption of the class."""


def image_requests(
    conditions: Captions, *, num_images: int, seed: int, caption: str | None = None
) -> list[ImageRequest]:
    """Image j of each prompt or class, with ``seed + j``; those of the first prompt first.

    None is a blank condition. Raises ValueError for what is no text, no seed or no number.
    """
    require_range("num_images", num_images, 1)
    several = read_texts(conditions, "prompt")
    require(len(several) > 0, "nothing to generate: give a prompt")
    whole = isinstance(seed, Integral) and LEAST_SEED <= seed <= MOST_SEED - num_images
    require(whole, f"seed is {seed!r}: it is one whole number, the first image's of every prompt")
    if caption is not None:
        (caption,) = read_captions(caption, 1) or [""]
    return [
        ImageRequest(condition=one, seed=int(seed) + j, caption=caption)
        for one in several
        for j in range(num_images)
    ]
