"""What people pass for images and captions, read into the tensors and texts that models take.

Legend: B images, S pixels, the side of the square that a tokenizer sees.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from textok.config.check import require
from textok.data.pixels import BadImageError, decode, pil_to_square, to_pil, to_tensor
from textok.runtime.untrusted import regular_file

Picture: TypeAlias = Image.Image | str | Path | NDArray[np.uint8] | Tensor
"""One image, in a form that ``read_pictures`` takes."""
Pictures: TypeAlias = Picture | Sequence[Picture]
"""One image or several; a tensor or array of four dimensions is several."""
Captions: TypeAlias = str | Sequence[str | None] | None
"""One caption an image; "" or None where there is none."""

T = TypeVar("T")

ROUNDING = 1e-3
"""How far a float pixel may lie outside [-1, 1]."""
GREY_RGB_RGBA = (1, 3, 4)


def read_pictures(given: Pictures, size: int) -> Tensor:
    """Images as a float32 tensor (B, 3, S, S) in [-1, 1], S being ``size``.

    One of these, or a list or tuple of them, of several kinds at will:

    - a PIL image of any mode and size, or the path of a file, turned as its EXIF orientation asks,
    - a uint8 numpy array (H, W), or (H, W, C) of 1, 3 or 4 channels, of any size; (B, H, W, C),
    - a uint8 tensor (C, H, W) of 1, 3 or 4 channels, of any size; (B, C, H, W),
    - a float tensor in [-1, 1], (3, S, S) or (B, 3, S, S), taken as it is; B may be 0. A warning
      tells of one without a negative number, which may be meant in [0, 1].

    All but the last are resized until their shorter side is S (Lanczos) and cut to the central
    square; transparent parts become white. Raises one ValueError that says what was given and what
    is taken: for other kinds, shapes, types and ranges, for files that cannot be read, for none.
    """
    if isinstance(given, Tensor) and given.ndim == 4 and given.is_floating_point():
        return _in_range(given, size)
    several = _listed(given)
    require(len(several) > 0, "there are no images: give one or more")
    images = []
    for place, one in enumerate(several):
        try:
            images.append(_image(one, size))
        except ValueError as error:
            where = f"image {place + 1} of {len(several)}: " if len(several) > 1 else ""
            raise ValueError(f"{where}{error}") from error
    return torch.stack(images)


def read_picture(given: Picture, size: int) -> Image.Image:
    """One of the images of ``read_pictures`` as the S x S image that the tokenizer sees."""
    if isinstance(given, Tensor) and given.is_floating_point():
        return to_pil(_image(given, size))
    return Image.fromarray(_square(given, size))


def read_captions(given: Captions, count: int) -> list[str] | None:
    """A caption for each of ``count`` images, "" where there is none; None without captions.

    Raises ValueError where their numbers differ, and for anything but texts and None.
    """
    if given is None:
        return None
    texts = read_texts(given, "caption")
    require(len(texts) == count, f"{len(texts)} captions for {count} images: give one an image")
    return texts


def read_texts(given: Captions, what: str) -> list[str]:
    """A text, or several, None becoming "". ``what`` names them in errors.

    Raises ValueError for anything else, and for text that no tokenizer can read.
    """
    several: Any = given
    if isinstance(several, np.ndarray):
        several = several.tolist()
    if several is None or isinstance(several, str):
        several = [several]
    elif isinstance(several, bytes) or not isinstance(several, Sequence):
        raise ValueError(
            f"{what}s are {_described(given)}: give a text, or a list of texts and None"
        )
    for place, one in enumerate(several):
        name = what if len(several) == 1 else f"{what} {place + 1} of {len(several)}"
        if one is not None and not isinstance(one, str):
            raise ValueError(f"{name} is {_described(one)}: give a text, or None for none")
        if one is not None and not one.isascii():
            try:
                one.encode("utf-8")
            except UnicodeEncodeError as error:
                raise ValueError(f"{name} is no valid text ({error.reason})") from error
    return ["" if one is None else str(one) for one in several]


def read_text(given: str | None, what: str) -> str:
    """One text; "" for None. Raises ValueError for anything else."""
    require(given is None or isinstance(given, str), f"{what} is {given!r}: give one text")
    return given or ""


def checked(kind: type[T], given: T | None, name: str) -> T | None:
    """``given`` where it is a ``kind`` or None. Raises ValueError for anything else."""
    if given is not None and not isinstance(given, kind):
        raise ValueError(f"{name} is {_described(given)}: give a {kind.__name__} of textok.config")
    return given


def _listed(given: Any) -> list[Any]:
    """One after another; what is a single image, or is no kind of image, alone."""
    if isinstance(given, (Tensor, np.ndarray)) and given.ndim == 4:
        return list(given)
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    return list(given) if several else [given]


def _image(one: Any, size: int) -> Tensor:
    """(3, S, S) float32 in [-1, 1], on the CPU unless it was a float tensor."""
    if isinstance(one, Tensor) and one.is_floating_point():
        return _in_range(one[None], size)[0]
    return to_tensor(_square(one, size))


def _in_range(images_B3HW: Tensor, size: int) -> Tensor:
    if images_B3HW.shape[1:] != (3, size, size):
        # One of a batch is named without it: (1, ...) may be what _image made of one.
        shape = tuple(images_B3HW.shape)
        raise ValueError(
            f"{_dtype(images_B3HW)} tensor of shape {shape if shape[0] > 1 else shape[1:]}: this "
            f"tokenizer takes floats as (3, {size}, {size}) or (B, 3, {size}, {size}) in [-1, 1]; "
            "images of other sizes are taken as uint8 tensors, arrays or PIL images"
        )
    if len(images_B3HW) == 0:
        return images_B3HW.float()
    require(
        images_B3HW.layout == torch.strided and not images_B3HW.is_meta,
        f"{_described(images_B3HW)} without plain numbers is no image that is taken",
    )
    low, high = (float(value) for value in images_B3HW.detach().aminmax())
    good = low >= -1 - ROUNDING and high <= 1 + ROUNDING
    require(
        good,
        f"{_dtype(images_B3HW)} tensor with values from {low:.4g} to {high:.4g}: floats have to be "
        "in [-1, 1] (2 x - 1 of [0, 1]; x / 127.5 - 1 of [0, 255]); 0 to 255 is taken as uint8",
    )
    if 0 <= low < high:
        warnings.warn(
            f"{_dtype(images_B3HW)} tensor with values from {low:.4g} to {high:.4g}, all in the "
            "brighter half of [-1, 1]: if they are of [0, 1], give 2 x - 1",
            stacklevel=4,
        )
    return images_B3HW.float()


def _square(one: Any, size: int) -> NDArray[np.uint8]:
    """The central square, uint8 (S, S, 3)."""
    if isinstance(one, (str, Path)):
        return pil_to_square(_read_file(Path(one), size), size)
    picture = one if isinstance(one, Image.Image) else _of_pixels(one)
    width, height = picture.size
    require(width > 0 and height > 0, f"an image of {width} x {height} pixels has none to read")
    try:
        return pil_to_square(ImageOps.exif_transpose(picture), size)
    except (OSError, SyntaxError) as error:  # a file that Pillow opened and has yet to read
        name = getattr(one, "filename", "") or "image"
        raise ValueError(f"{name}: damaged ({error})") from error


def _read_file(path: Path, size: int) -> Image.Image:
    try:
        return decode(regular_file(path.expanduser()).read_bytes(), size=size)
    except BadImageError as error:
        raise ValueError(f"{path}: {error}") from error
    except OSError as error:
        raise ValueError(f"{path}: no image can be read there ({error.strerror})") from error
    except RuntimeError as error:  # of a ~ before what is no user
        raise ValueError(f"{path}: no image can be read there ({error})") from error


def _of_pixels(one: Any) -> Image.Image:
    """An image of a uint8 array or tensor."""
    pixels = one
    if isinstance(one, Tensor) and one.dtype == torch.uint8 and one.ndim == 3:
        pixels = rearrange(one.detach().cpu(), "c h w -> h w c").numpy()
    good = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.size > 0
    if not (good and (pixels.ndim == 2 or pixels.shape[2:] in {(c,) for c in GREY_RGB_RGBA})):
        raise ValueError(
            f"{_described(one)} is no image that is taken: give PIL images, paths, uint8 arrays "
            "(H, W) or (H, W, 1, 3 or 4), uint8 tensors (1, 3 or 4, H, W), float tensors in "
            "[-1, 1], or a list of them"
        )
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if _is_grey(pixels) else pixels))


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    return pixels.ndim == 3 and pixels.shape[2] == 1


def _described(given: Any) -> str:
    """As in ``a float64 array of shape (4, 4), values from 0 to 1``."""
    if not isinstance(given, (Tensor, np.ndarray)):
        return f"a {type(given).__name__}"
    kind = "tensor" if isinstance(given, Tensor) else "array"
    text = f"a {_dtype(given)} {kind} of shape {tuple(given.shape)}"
    if isinstance(given, Tensor):
        numbers = given.layout == torch.strided and not (given.is_complex() or given.is_meta)
    else:
        numbers = given.dtype.kind in "iuf"
    if not numbers or 0 in given.shape:
        return text
    return f"{text}, values from {float(given.min()):.4g} to {float(given.max()):.4g}"


def _dtype(given: Tensor | NDArray[Any]) -> str:
    return str(given.dtype).removeprefix("torch.")
