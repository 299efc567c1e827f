"""Images from a prompt or a class, as files that say inside what they were generated from."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from textok import __version__
from textok.config.check import require
from textok.config.generator import SamplingConfig
from textok.config.request import Drawn, Request
from textok.demo.limits import PICTURES
from textok.demo.studio import Studio
from textok.pipeline import ImageRequest
from textok.pipeline.files import slug
from textok.pipeline.image_request import image_requests
from textok.runtime.sheet import save_picture

OnStep = Callable[[int], None]


def draw(
    studio: Studio,
    prompt: str,
    folder: Path,
    *,
    num_images: int,
    seed: int,
    sampling: SamplingConfig,
    negative: str = "",
    on_step: OnStep | None = None,
) -> list[Path]:
    """Generate up to ``PICTURES`` images of a prompt, or of a class, into files in ``folder``.

    Each has the note that `textok generate --repeat` reads. Raises ValueError where the model has
    no generator, and for what it does not take.
    """
    assert num_images <= PICTURES
    request = Request(
        model=studio.name,
        prompts=() if studio.draws_classes else (prompt,),
        classes=(prompt,) if studio.draws_classes else (),
        num_images=num_images,
        seed=seed,
        negative=negative,
        sampling=sampling,
        batch_size=PICTURES,
    )
    rows = image_requests(prompt, num_images=num_images, seed=seed)
    pictures = draw_rows(studio, rows, sampling=sampling, negative=negative, on_step=on_step)
    once = f"{slug(prompt) or 'anything'}-{secrets.token_hex(8)}"
    paths = [folder / f"{once}-{seed + j}.png" for j in range(num_images)]
    for j, (picture, path) in enumerate(zip(pictures, paths, strict=True)):
        save_picture(picture, path, asdict(Drawn(textok=__version__, request=request, picture=j)))
    return paths


def draw_rows(
    studio: Studio,
    rows: list[ImageRequest],
    *,
    sampling: SamplingConfig,
    negative: str = "",
    on_step: OnStep | None = None,
) -> list[Image.Image]:
    """Images in one batch. Raises ValueError for what the model does not take."""
    pipe = studio.pipe
    require(pipe is not None, f"{studio.name} is a tokenizer: it has no generator to draw with")
    assert pipe is not None
    pipe.generator.config.check_sampling(sampling)
    pipe.expect("class" if studio.draws_classes else "text", rows, negative=negative)
    return pipe.draw(
        rows, sampling=sampling, negative=negative, batch_size=PICTURES, on_step=on_step
    )
