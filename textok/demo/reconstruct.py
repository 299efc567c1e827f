"""One picture through its tokens with and without a caption, seen and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from textok.data.pixels import to_pil, to_tensor
from textok.demo.studio import Studio
from textok.metrics.image import from_8bit, psnr, to_8bit
from textok.types import Latents

GAIN = 4
"""How much brighter differences are shown than they are."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A picture reconstructed with one caption, or with none ("")."""

    caption: str
    picture: Image.Image
    difference: Image.Image
    """From the original, ``GAIN`` times as bright."""
    psnr: float
    """dB."""
    perceptual: float | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A picture and its reconstructions."""

    original: Image.Image
    """The central square, at the tokenizer's size."""
    ways: dict[str, Way]
    """By name: ``with``, ``without``, ``own``; those that were requested."""
    change: Image.Image | None
    """How ``with`` and ``without`` differ, ``GAIN`` times as bright."""
    whole: Way | None = None
    """With its caption and all tokens, where the others have fewer."""


def compare(
    studio: Studio,
    picture: Image.Image,
    caption: str = "",
    own: str = "",
    *,
    num_tokens: int | None = None,
) -> Comparison:
    """Reconstruct ``picture`` with its caption, without one and with ``own``, if these are given.

    ``num_tokens`` are kept, and beside them all for ``whole``. Encoder and decoder read the same
    caption, and numbers are kept in 16 bits, as `textok evaluate reconstruction` does it. Raises
    ValueError for more tokens than there are.
    """
    original = studio.reconstructor.prepare(picture)
    captions = {"with": caption, "without": "", "own": own}
    if not studio.reads_text:
        captions = {"without": ""}
    captions = {name: text for name, text in captions.items() if text or name == "without"}
    ways = _through(studio, original, captions, num_tokens)
    change, whole, best = None, None, next(iter(captions))
    if "with" in ways:
        change = difference(ways["with"].picture, ways["without"].picture)
    if num_tokens is not None and num_tokens < studio.config.num_tokens:
        whole = _through(studio, original, {best: captions[best]}, None)[best]
    return Comparison(original=original, ways=ways, change=change, whole=whole)


def _through(
    studio: Studio, original: Image.Image, captions: Mapping[str, str], num_tokens: int | None
) -> dict[str, Way]:
    """``original`` reconstructed with each of ``captions``, by name."""
    model = studio.reconstructor
    texts = list(captions.values())
    latents = model.encode([original] * len(texts), texts, num_tokens=num_tokens)
    latents = Latents(mean=latents.mean.half().float(), codes=latents.codes)
    made = from_8bit(to_8bit(model.decode_tensor(latents, texts)))
    target = to_tensor(np.array(original)).to(made.device).expand_as(made)
    with torch.inference_mode():
        decibels = psnr(made, target).tolist()
        far = studio.perceptual(made, target).tolist() if studio.perceptual else [None] * len(made)
    pictures = [to_pil(image) for image in made]
    return {
        name: Way(
            caption=captions[name],
            picture=pictures[i],
            difference=difference(pictures[i], original),
            psnr=decibels[i],
            perceptual=far[i],
        )
        for i, name in enumerate(captions)
    }


def difference(one: Image.Image, other: Image.Image) -> Image.Image:
    """|one - other| of each colour, ``GAIN`` times as bright: black where they agree."""
    a, b = (np.asarray(picture.convert("RGB")).astype(np.int16) for picture in (one, other))
    return Image.fromarray((np.abs(a - b) * GAIN).clip(0, 255).astype(np.uint8))
