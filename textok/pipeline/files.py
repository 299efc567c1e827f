"""Pictures drawn into files, each with a note of what it was drawn from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from PIL import Image

from textok import __version__
from textok.config.check import require
from textok.config.decoding import AS_TRAINED, DecodingOptions
from textok.config.generator import Sampler
from textok.config.request import Drawn, Request
from textok.pipeline.image_request import ImageRequest, adjusted, image_requests
from textok.pipeline.text_to_image import TextToImage
from textok.runtime.counter import counter
from textok.runtime.sheet import picture_sheet, save_picture

CELL = 128
"""Least pixels a side of a picture on a sheet."""
SHEET_ROWS = 256


def generate_files(
    request: Request,
    out: Path,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: Sampler | None = None,
    temperature: float | None = None,
    decoding: DecodingOptions = AS_TRAINED,
    separate: bool = False,
    device: torch.device | str = "cpu",
) -> list[Path]:
    """Draw what is asked into ``out/sheet.png``, or with ``separate`` into a file each.

    ``steps``, ``guidance``, ``sampler`` and ``temperature`` replace those of the request or of the
    model, ``decoding`` what the tokenizer says of its decoder. Returns the files written. Raises
    ValueError for what the model cannot draw.
    """
    require(
        separate or len(request.asked) <= SHEET_ROWS,
        f"{len(request.asked)} rows do not fit on a sheet: write a file each with --separate",
    )
    pipe = TextToImage.from_pretrained(request.model, device=device)
    sampling = adjusted(
        request.sampling or pipe.sampling,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        temperature=temperature,
    )
    decoded = pipe.tokenizer.config.sampled_by(decoding)
    request = replace(request, sampling=sampling, decoding=decoded)
    drawn = _draw(pipe, request, _rows(request))
    out.mkdir(parents=True, exist_ok=True)
    if not separate:
        path = out / "sheet.png"
        _write_sheet(path, request, drawn)
        return [path]
    paths = [out / _name(request, place) for place in range(len(drawn))]
    for place, (path, picture) in enumerate(zip(paths, drawn, strict=True)):
        save_picture(picture, path, asdict(_note(request, place)))
    return paths


def repeat_file(drawn: Drawn, path: Path, *, device: torch.device | str = "cpu") -> None:
    """Draw into ``path`` what another file was drawn from, in the same batches.

    On the same machine and device every pixel is the same.
    """
    request, rows = drawn.request, _rows(drawn.request)
    pipe = TextToImage.from_pretrained(request.model, device=device)
    path.parent.mkdir(parents=True, exist_ok=True)
    if drawn.picture is None:
        _write_sheet(path, request, _draw(pipe, request, rows))
        return
    batch = rows[drawn.start : drawn.start + request.batch_size]
    picture = _draw(pipe, request, batch)[drawn.picture - drawn.start]
    save_picture(picture, path, asdict(drawn))


def slug(text: str, limit: int = 40) -> str:
    """The letters and digits of ``text`` in lower case, for a file's name."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"[\W_]+", "-", plain)[:limit].strip("-")


def _rows(request: Request) -> list[ImageRequest]:
    """Each picture of the request, in the order in which they are drawn."""
    captions: tuple[str | None, ...] = request.captions or (None,)
    each = captions * len(request.asked) if len(captions) == 1 else captions
    return [
        one
        for name, caption in zip(request.asked, each, strict=True)
        for one in image_requests(
            name, num_images=request.num_images, seed=request.seed, caption=caption
        )
    ]


def _draw(pipe: TextToImage, request: Request, rows: Sequence[ImageRequest]) -> list[Image.Image]:
    """The pictures, under a bar. Raises ValueError where the model is asked the wrong way."""
    pipe.expect("class" if request.classes else "text", rows, negative=request.negative)
    sampling = request.sampling or pipe.sampling
    pipe.generator.config.check_sampling(sampling)
    batches = -(-len(rows) // request.batch_size)
    with counter("steps", total=sampling.steps * batches) as count:
        return pipe.draw(
            rows,
            sampling=sampling,
            decoding=request.decoding,
            negative=request.negative,
            batch_size=request.batch_size,
            on_step=lambda _: count(1),
        )


def _write_sheet(path: Path, request: Request, drawn: Sequence[Image.Image]) -> None:
    """Rows are prompts, columns are seeds."""
    count, size = request.num_images, drawn[0].width
    columns = {f"seed {request.seed + j}": drawn[j::count] for j in range(count)}
    sheet = picture_sheet(columns, request.asked, cell=size * -(-CELL // size))
    save_picture(sheet, path, asdict(Drawn(textok=__version__, request=request)))


def _name(request: Request, place: int) -> str:
    """As in 000-a-red-apple-0.png."""
    row, column = divmod(place, request.num_images)
    words = slug(request.asked[row])
    return "-".join(part for part in (f"{row:03d}", words, f"{column}.png") if part)


def _note(request: Request, place: int) -> Drawn:
    """Of one picture: the prompts of its batch alone, which are all that it may depend on."""
    count, start = request.num_images, place - place % request.batch_size
    stop = min(start + request.batch_size, len(request.asked) * count)
    first, last = start // count, -(-stop // count)
    return Drawn(
        textok=__version__,
        request=request.part(first, last),
        picture=place - first * count,
        start=start - first * count,
    )
