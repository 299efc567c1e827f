"""Which images are to be generated."""

from __future__ import annotations

from dataclasses import dataclass

from textok.config.check import require, require_text, whole_number
from textok.pipeline.inputs import Captions, read_captions, read_texts

LEAST_SEED, MOST_SEED = -(2**63), 2**64
"""What a random generator takes; the last one is excluded."""


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """One image to generate. Raises ValueError for what is no text and no seed."""

    condition: str
    """A prompt, or the name of a class; blank: the null condition."""
    seed: int
    """All of the image's randomness follows from it."""
    caption: str | None = None
    """What the tokenizer's decoder reads; None: the prompt, or a caption of the class."""

    def __post_init__(self) -> None:
        for text in (self.condition, "" if self.caption is None else self.caption):
            require(isinstance(text, str), f"{text!r} is no text: give a condition and a caption")
            require_text("a condition or caption", text)
        seed = whole_number("seed", self.seed, LEAST_SEED, MOST_SEED - 1)
        object.__setattr__(self, "seed", seed)


def image_requests(
    conditions: Captions, *, num_images: int, seed: int, caption: str | None = None
) -> list[ImageRequest]:
    """Image j of each prompt or class, with ``seed + j``; those of the first prompt first.

    None is a blank condition. Raises ValueError for what is no text, no seed or no number.
    """
    num_images = whole_number("num_images", num_images, 1)
    several = read_texts(conditions, "prompt")
    require(len(several) > 0, "nothing to generate: give a prompt")
    first = whole_number("seed", seed, LEAST_SEED, MOST_SEED - num_images)
    if caption is not None:
        (caption,) = read_captions(caption, 1) or [""]
    return [
        ImageRequest(condition=one, seed=first + j, caption=caption)
        for one in several
        for j in range(num_images)
    ]
