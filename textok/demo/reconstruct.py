"""One image through its tokens with and without a caption, seen and measured."""

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
    """An image reconstructed with one caption, or with none ("")."""

    caption: str
    picture: Image.Image
    difference: Image.Image
    """From the original, ``GAIN`` times as bright."""
    psnr: float
    """dB."""
    perceptual: float | None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One of the images that a decoder that samples makes of the same tokens and caption."""

    picture: Image.Image
    psnr: float
    """dB."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An image and its reconstructions."""

    original: Image.Image
    """The central square, at the tokenizer's size."""
    ways: dict[str, Way]
    """By name: ``with``, ``without``, ``own``; those that were requested."""
    change: Image.Image | None
    """How ``with`` and ``without`` differ, ``GAIN`` times as bright."""
    whole: Way | None = None
    """With its caption and all tokens, where the others have fewer."""
    samples: tuple[Sample, ...] = ()
    """Of the first of ``ways``, from other noise each; the first is that way's own."""
    mean: Sample | None = None
    """The mean of these."""


def compare(
    studio: Studio,
    picture: Image.Image,
    caption: str = "",
    own: str = "",
    *,
    num_tokens: int | None = None,
    num_samples: int = 0,
) -> Comparison:
    """Reconstruct ``picture`` with its caption, without one and with ``own``, if these are given.

    ``num_tokens`` are kept, and beside them all for ``whole``. Encoder and decoder read the same
    caption, and numbers are kept in 16 bits, as `textok evaluate reconstruction` does it. Of a
    decoder that samples also ``num_samples`` of the first of these. Raises ValueError for more
    tokens than there are, and for several samples of a decoder that makes one image.
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
    samples: list[Sample] = []
    if num_samples:
        samples = _samples(studio, original, captions[best], num_tokens, num_samples)
    return Comparison(
        original=original,
        ways=ways,
        change=change,
        whole=whole,
        samples=tuple(samples[:-1]),
        mean=samples[-1] if samples else None,
    )


def _samples(
    studio: Studio, original: Image.Image, caption: str, num_tokens: int | None, count: int
) -> list[Sample]:
    """``count`` images of the same tokens and caption, and their mean."""
    model = studio.reconstructor
    latents = _in_16_bits(model.encode(original, caption, num_tokens=num_tokens))
    made = model.decode_tensor(latents, [caption], num_samples=count)
    made = from_8bit(to_8bit(torch.cat([made, made.clamp(-1, 1).mean(dim=0, keepdim=True)])))
    target = to_tensor(np.array(original)).to(made.device).expand_as(made)
    return [
        Sample(picture=to_pil(image), psnr=decibels)
        for image, decibels in zip(made, psnr(made, target).tolist(), strict=True)
    ]


def _in_16_bits(latents: Latents) -> Latents:
    return Latents(mean=latents.mean.half().float(), codes=latents.codes)


def _through(
    studio: Studio, original: Image.Image, captions: Mapping[str, str], num_tokens: int | None
) -> dict[str, Way]:
    """``original`` reconstructed with each of ``captions``, by name."""
    model = studio.reconstructor
    texts = list(captions.values())
    latents = _in_16_bits(model.encode([original] * len(texts), texts, num_tokens=num_tokens))
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
