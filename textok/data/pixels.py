"""Between encoded bytes, images, pixel arrays and the tensors that models see."""

from __future__ import annotations

import math
from io import BytesIO

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from textok.config.data import Resize
from textok.data.formats import format_of, needs, reader_of

MAX_PIXELS = 100_000_000
"""An image with more pixels to decode is refused; 300 MB as RGB."""

CENTER = (0.5, 0.5)


class BadImageError(ValueError):
    """Bytes that are no complete image, or an image that is refused."""


def decode(data: bytes, *, size: int | None) -> Image.Image:
    """Decode an image to 8-bit RGB, upright, with transparent parts white.

    The first frame of an animation; 16 bits are scaled to 8. A JPEG far larger than ``size``
    pixels is decoded at a half, a quarter or an eighth of its resolution, never below 2 ``size``;
    None decodes it whole.

    Raises:
        BadImageError: damaged or truncated, no known format, or over ``MAX_PIXELS``.
    """
    name = format_of(data)
    reader = reader_of(name)
    if reader is None:
        unknown = "no known image format" if data else "empty file"
        raise BadImageError(f"{name}, which {needs(name)} reads" if name else unknown)
    try:
        image = reader(BytesIO(data))
        if size is not None:
            image.draft(None, (2 * size, 2 * size))
        if math.prod(image.size) > MAX_PIXELS:
            width, height = image.size
            raise BadImageError(f"{width} x {height} pixels, over the limit of {MAX_PIXELS:,}")
        return _to_rgb(ImageOps.exif_transpose(image))
    except BadImageError:
        raise
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        raise BadImageError(f"damaged: {str(error) or type(error).__name__}") from error


def to_square(
    image: Image.Image,
    size: int,
    crop: tuple[float, float] = CENTER,
    *,
    resize: Resize = "lanczos",
) -> NDArray[np.uint8]:
    """A square of ``size`` pixels, uint8 (H, W, 3), placed by ``crop`` and resized by ``resize``.

    See :func:`pil_to_square` (``lanczos``) and :func:`adm_to_square` (``adm``).
    """
    return {"lanczos": pil_to_square, "adm": adm_to_square}[resize](image, size, crop)


def pil_to_square(
    image: Image.Image, size: int, crop: tuple[float, float] = CENTER
) -> NDArray[np.uint8]:
    """Cut the largest square and resize it to ``size`` (Lanczos): uint8 (H, W, 3).

    ``crop`` places the square along the width and the height, from 0 to 1. Other modes than RGB
    are converted as by :func:`decode`; smaller images are enlarged.
    """
    image = _to_rgb(image)
    side = min(image.size)
    left, top = (round((length - side) * at) for length, at in zip(image.size, crop, strict=True))
    box = (left, top, left + side, top + side)
    square = image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    return np.array(square)


def adm_to_square(
    image: Image.Image, size: int, crop: tuple[float, float] = CENTER
) -> NDArray[np.uint8]:
    """The centre crop of ADM (arXiv 2105.05233), which most published FIDs are of: (H, W, 3).

    The image is halved by averaging while its shorter side stays at least ``size``, resized
    (bicubic) until that side is ``size``, and cut to the square in the middle, or where ``crop``
    places it (from 0 to 1). For what others measure, decode it whole: ``decode`` with
    ``size=None``. Raises what :func:`adm_shorter_side` does.
    """
    image = adm_shorter_side(image, size)
    # A half is rounded down, as ADM cuts.
    left, top = (
        math.ceil((length - size) * at - 0.5) for length, at in zip(image.size, crop, strict=True)
    )
    return np.array(image.crop((left, top, left + size, top + size)))


def adm_shorter_side(image: Image.Image, size: int) -> Image.Image:
    """The whole image in RGB, its shorter side ``size`` pixels, resized as ADM does.

    Raises BadImageError for one so long that it would have more than ``MAX_PIXELS`` then.
    """
    image = _to_rgb(image)
    while min(image.size) >= 2 * size:
        halves = (image.width // 2, image.height // 2)
        image = image.resize(halves, Image.Resampling.BOX)
    scale = size / min(image.size)
    # To even at a half, as ADM rounds.
    sides = (round(image.width * scale), round(image.height * scale))
    if math.prod(sides) > MAX_PIXELS:
        raise BadImageError(f"{sides[0]} x {sides[1]} pixels if resized, over {MAX_PIXELS:,}")
    return image.resize(sides, Image.Resampling.BICUBIC)


def resize_shorter_side(image: Image.Image, size: int) -> Image.Image:
    """The whole image in RGB, its shorter side ``size`` pixels (Lanczos)."""
    image = _to_rgb(image)
    shorter = min(image.size)
    width, height = (max(size, round(length * size / shorter)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def pad_to_square(image: Image.Image) -> Image.Image:
    """The image in the middle of a white square as long as its longer side, in RGB."""
    image = _to_rgb(image)
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def to_tensor(pixels: NDArray[np.uint8] | Tensor) -> Tensor:
    """Pixels uint8 (..., H, W, 3) to float32 (..., 3, H, W) in [-1, 1]."""
    channels_first = rearrange(torch.as_tensor(pixels), "... h w c -> ... c h w").contiguous()
    return channels_first.to(torch.float32).div_(127.5).sub_(1)


def to_pil(image_3HW: Tensor) -> Image.Image:
    """A tensor (3, H, W) in [-1, 1] to an image; values are clamped, then rounded."""
    scaled = ((image_3HW.detach().float().clamp(-1, 1) + 1) * 127.5).round()
    pixels = rearrange(scaled.to(torch.uint8).cpu(), "c h w -> h w c")
    return Image.fromarray(pixels.contiguous().numpy())


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise BadImageError("floating-point pixels have no defined range")
    if image.mode.startswith("I"):  # 16-bit grey; convert() would clip at 255
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        scaled = ((values * 255 + 32767) // 65535).astype(np.uint8)
        scaled[values == image.info.get("transparency")] = 255
        image = Image.fromarray(scaled)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(white, rgba)
    return image.convert("RGB")
