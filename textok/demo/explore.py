"""What tokens hold and what captions say: one of the two kept, the other changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image

from textok.config.check import require
from textok.config.generator import SamplingConfig, SamplingOptions
from textok.demo.draw import OnStep, draw_rows
from textok.demo.studio import Studio
from textok.pipeline.image_request import image_requests
from textok.types import Latents

Reading = Literal["the nearer one's", "the first one's", "the second one's", "none"]
"""Whose caption the decoder reads between two images."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Images in named rows and columns."""

    rows: list[str]
    columns: list[str]
    pictures: list[list[Image.Image]]
    """By row."""


def swap(
    studio: Studio,
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    own: str = "",
    *,
    num_tokens: int | None = None,
) -> Grid:
    """The tokens of each image, decoded with every caption, with none and with ``own``.

    Row i has the tokens of image i, which were made with its own caption; a column has one
    caption. ``num_tokens`` keeps the first ones. Raises ValueError for a tokenizer whose decoder
    reads no caption, and for more tokens than there are.
    """
    require(
        studio.config.decoder_reads_text,
        f"the decoder of {studio.name} reads no caption: there is nothing to swap",
    )
    model = studio.reconstructor
    latents = model.encode(list(pictures), list(captions), num_tokens=num_tokens)
    texts = [*captions, ""] + ([own] if own else [])
    names = [f"caption of picture {i + 1}" for i in range(len(captions))]
    names += ["no caption"] + (["your caption"] if own else [])
    made = []
    for row in range(len(pictures)):
        tokens = _stack(latents[row : row + 1], len(texts))
        made.append(model.decode(tokens, texts))
    rows = [f"tokens of picture {row + 1}" for row in range(len(pictures))]
    return Grid(rows=rows, columns=names, pictures=made)


def interpolate(
    studio: Studio,
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    *,
    count: int,
    reading: Reading = "the nearer one's",
) -> list[tuple[float, Image.Image]]:
    """``count`` images on the straight line between the tokens of two, each with its place.

    Raises ValueError for discrete tokens, between which there is nothing.
    """
    require(
        not studio.config.codebook_size,
        f"the tokens of {studio.name} are codes out of a list: there is nothing between two of "
        "them; take a tokenizer of numbers",
    )
    assert len(pictures) == len(captions) == 2 and count >= 2
    model = studio.reconstructor
    mean = model.encode(list(pictures), list(captions)).mean
    places = [step / (count - 1) for step in range(count)]
    between = torch.stack([torch.lerp(mean[0], mean[1], place) for place in places])
    texts = [_read(captions, place, reading) for place in places]
    return list(zip(places, model.decode(Latents(mean=between), texts), strict=True))


def sampling_grid(
    studio: Studio,
    prompt: str,
    *,
    steps: Sequence[int],
    guidance: Sequence[float],
    seed: int,
    sampling: SamplingConfig,
    on_step: OnStep | None = None,
) -> Grid:
    """The same prompt, or class, from the same noise: rows are steps, columns guidance scales.

    ``on_step`` is told the number of steps done of all.
    """
    done = 0

    def count(_: int) -> None:
        nonlocal done
        done += 1
        if on_step is not None:
            on_step(done)

    row = image_requests(prompt, num_images=1, seed=seed)
    return Grid(
        rows=[f"{number} step{'s' if number > 1 else ''}" for number in steps],
        columns=[f"guidance {scale:g}" for scale in guidance],
        pictures=[
            [
                draw_rows(
                    studio,
                    row,
                    sampling=SamplingOptions(steps=number, guidance=scale).applied_to(sampling),
                    on_step=count,
                )[0]
                for scale in guidance
            ]
            for number in steps
        ],
    )


def _stack(latents: Latents, count: int) -> Latents:
    """One image's latents ``count`` times."""
    codes = None if latents.codes is None else latents.codes.expand(count, -1)
    return Latents(mean=latents.mean.expand(count, -1, -1), codes=codes)


def _read(captions: Sequence[str], place: float, reading: Reading) -> str:
    match reading:
        case "the first one's":
            return captions[0]
        case "the second one's":
            return captions[1]
        case "none":
            return ""
    return captions[int(place > 0.5)]
