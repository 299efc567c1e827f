"""Draw one image on white and measure it; runs inside worker processes."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from textok.datasets.pictograms.colours import main_colours
from textok.datasets.pictograms.sources import Drawing
from textok.runtime.files import atomic_write

MASTER = 256
"""Pixels at which every image is drawn and measured, so that captions and splits do not depend
on the size that is kept."""
THUMB = 16


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What the later steps need to know of an image: pixel hash, thumbnail, main colours.

    ``thumb`` is the hexadecimal form of 16 x 16 x 3 bytes.
    """

    key: str
    digest: str
    thumb: str
    colours: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Draw ``drawing`` and store it as ``path``, ``size`` pixels square."""

    drawing: Drawing
    path: Path
    size: int


def render(job: Job) -> Measurement:
    """Draw, measure and store one image as lossless WebP.

    Raises:
        ValueError: the drawing cannot be rasterised or is blank.
    """
    picture = _square(_rasterise(job.drawing))
    alpha = picture.getchannel("A")
    if not alpha.getbbox():
        raise ValueError(f"{job.drawing.key}: blank")
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=alpha)
    # Every fourth pixel is enough to count colours, and unlike a resize it invents none.
    sample = np.asarray(flat)[::4, ::4]
    inside = np.asarray(alpha)[::4, ::4] > 127
    thumb = flat.resize((THUMB, THUMB), Image.Resampling.BOX)
    _store(flat.resize((job.size, job.size), Image.Resampling.LANCZOS), job.path)
    return Measurement(
        key=job.drawing.key,
        digest=hashlib.sha256(flat.tobytes()).hexdigest(),
        thumb=thumb.tobytes().hex(),
        colours=main_colours(sample, inside),
    )


def _rasterise(drawing: Drawing) -> Image.Image:
    """Return RGBA whose longest side is the master size."""
    if not drawing.is_svg:
        picture = Image.open(io.BytesIO(drawing.data)).convert("RGBA")
        scale = MASTER / max(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        return picture.resize(size, Image.Resampling.LANCZOS)
    import resvg_py

    svg = drawing.data.decode()
    png = resvg_py.svg_to_bytes(svg_string=svg, width=MASTER, skip_system_fonts=True)
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    if picture.height <= MASTER:
        return picture
    png = resvg_py.svg_to_bytes(svg_string=svg, height=MASTER, skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGBA")


def _square(picture: Image.Image) -> Image.Image:
    if picture.size == (MASTER, MASTER):
        return picture
    canvas = Image.new("RGBA", (MASTER, MASTER))
    canvas.paste(picture, ((MASTER - picture.width) // 2, (MASTER - picture.height) // 2))
    return canvas


def _store(picture: Image.Image, path: Path) -> None:
    with atomic_write(path) as temporary:
        picture.save(temporary, "WEBP", lossless=True, quality=75, method=4)
