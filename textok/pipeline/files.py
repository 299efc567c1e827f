"""Images generated into files, each with a note of what it was generated from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from PIL import Image

from textok import __version__
from textok.config.bundled import BUNDLED
from textok.config.check import naming, require
from textok.config.generation import GenerateConfig
from textok.config.read import build
from textok.config.request import Drawn, Request, check_words
from textok.pipeline.image_request import ImageRequest, image_requests
from textok.pipeline.text_to_image import TextToImage
from textok.runtime.counter import counter
from textok.runtime.device import pick_device
from textok.runtime.png import read_png_note, require_own
from textok.runtime.sheet import picture_sheet, save_picture
from textok.runtime.untrusted import regular_file

CELL = 128
"""Least pixels a side of an image on a sheet."""
SHEET_ROWS = 256
PROMPT_BYTES = 64_000_000
"""Of a file of prompts."""


def generate_files(config: GenerateConfig) -> list[Path]:
    """Generate what is asked into ``out/sheet.png``, or with ``separate`` into a file each.

    Every file holds a note of what it was made from; ``repeat`` makes one again from its note.
    Returns the files written. Raises ValueError for what the model cannot generate.
    """
    if config.repeat is not None:
        return [_repeat_file(config.repeat, config)]
    request = Request(
        model=config.model or BUNDLED,
        prompts=config.prompt + (_read_prompts(config.prompts) if config.prompts else ()),
        classes=config.classes,
        num_images=config.num_images,
        seed=config.seed,
        negative=config.negative,
        captions=config.caption,
        batch_size=config.batch_size,
    )
    count, out = len(request.conditions), config.out
    require(
        config.separate or count <= SHEET_ROWS,
        f"{count} rows do not fit on a sheet: write a file each with --separate",
    )
    for path in _paths(request, config):
        require_own(path)
    pipe = TextToImage.from_pretrained(request.model, device=pick_device(config.device))
    if config.compile != "no":
        pipe.compile(config.compile)
    sampling = config.sampling.applied_to(pipe.sampling)
    decoded = pipe.tokenizer.config.sampled_by(config.decoding)
    request = replace(request, sampling=sampling, decoding=decoded)
    drawn = _draw(pipe, request, _rows(request))
    out.mkdir(parents=True, exist_ok=True)
    paths = _paths(request, config)
    if not config.separate:
        _write_sheet(paths[0], request, drawn)
        return paths
    for place, (path, picture) in enumerate(zip(paths, drawn, strict=True)):
        save_picture(picture, path, asdict(_note(request, place)))
    return paths


def _paths(request: Request, config: GenerateConfig) -> list[Path]:
    """The files to write."""
    if not config.separate:
        return [config.out / "sheet.png"]
    count = len(request.conditions) * request.num_images
    return [config.out / _name(request, place) for place in range(count)]


def _repeat_file(file: Path, config: GenerateConfig) -> Path:
    """Generate again, in the same batches, what ``file`` says it was made from; the new file.

    By the model of the note unless another one is named. On the same machine and device every
    pixel is the same.
    """
    note = read_png_note(file)
    try:
        drawn = build(Drawn, note)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    request, path = drawn.request, config.out / file.name
    require_own(path)
    model = config.model or request.model
    request, rows = replace(request, model=model), _rows(request)
    pipe = TextToImage.from_pretrained(model, device=pick_device(config.device))
    path.parent.mkdir(parents=True, exist_ok=True)
    if drawn.picture is None:
        _write_sheet(path, request, _draw(pipe, request, rows))
        return path
    batch = rows[drawn.start : drawn.start + request.batch_size]
    picture = _draw(pipe, request, batch)[drawn.picture - drawn.start]
    save_picture(picture, path, asdict(replace(drawn, request=request)))
    return path


def _read_prompts(path: Path) -> tuple[str, ...]:
    """The prompts of a file. Raises ValueError where it holds none or is no text."""
    try:
        text = regular_file(path, most=PROMPT_BYTES).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None
    require("\0" not in text, f"{path}: not a text file in UTF-8")
    lines = [line.strip() for line in text.splitlines()]
    prompts = tuple(line for line in lines if line and not line.startswith("#"))
    require(bool(prompts), f"{path}: holds no prompt; write one a line")
    with naming(path):
        check_words("prompt", prompts)
    return prompts


def slug(text: str, limit: int = 40) -> str:
    """The letters and digits of ``text`` in lower case, for a file's name."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"[\W_]+", "-", plain)[:limit].strip("-")


def _rows(request: Request) -> list[ImageRequest]:
    """Each image of the request, in the order in which they are generated."""
    captions: tuple[str | None, ...] = request.captions or (None,)
    each = captions * len(request.conditions) if len(captions) == 1 else captions
    return [
        one
        for name, caption in zip(request.conditions, each, strict=True)
        for one in image_requests(
            name, num_images=request.num_images, seed=request.seed, caption=caption
        )
    ]


def _draw(pipe: TextToImage, request: Request, rows: Sequence[ImageRequest]) -> list[Image.Image]:
    """The images, under a bar. Raises ValueError where the model is asked the wrong way."""
    pipe.expect("class" if request.classes else "text", rows, negative=request.negative)
    sampling = request.sampling or pipe.sampling
    pipe.generator.config.check_sampling(sampling)
    pipe.guides.guided(sampling, negative=request.negative)
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
    sheet = picture_sheet(columns, request.conditions, cell=size * -(-CELL // size))
    save_picture(sheet, path, asdict(Drawn(textok=__version__, request=request)))


def _name(request: Request, place: int) -> str:
    """As in 000-a-red-apple-0.png."""
    row, column = divmod(place, request.num_images)
    words = slug(request.conditions[row])
    return "-".join(part for part in (f"{row:03d}", words, f"{column}.png") if part)


def _note(request: Request, place: int) -> Drawn:
    """Of one image: the prompts of its batch alone, which are all that it may depend on."""
    count, start = request.num_images, place - place % request.batch_size
    stop = min(start + request.batch_size, len(request.conditions) * count)
    first, last = start // count, -(-stop // count)
    return Drawn(
        textok=__version__,
        request=request.part(first, last),
        picture=place - first * count,
        start=start - first * count,
    )
