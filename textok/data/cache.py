"""``data.cache``: the images of a set, decoded, in the memory of this machine or of its GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor
from torch.utils.data import Dataset

from textok.config.check import require
from textok.data.images import CaptionedImages
from textok.data.items import Item, load
from textok.data.pixels import BadImageError, to_tensor
from textok.runtime.counter import counter
from textok.runtime.memory import free_bytes

READ = 64
"""Images that a loader process hands over at once."""
NOT_SQUARE = "not square"


@dataclass(frozen=True, kw_only=True)
class PictureCache:
    """All images of a set, cut to squares."""

    pixels: Tensor
    """(N, H, W, 3) uint8; undefined where an image cannot be read."""
    bad: dict[int, str]
    """Place and reason of each image that cannot be read."""
    device: torch.device
    """Where batches are made; the pixels lie there or in main memory."""

    def batch(self, indices: Sequence[int], flips: Sequence[bool]) -> Tensor:
        """The images at ``indices``, mirrored where ``flips``: float32 (B, 3, H, W) in [-1, 1].

        The same bits on every device.
        """
        places = torch.tensor(indices, dtype=torch.int64, device=self.pixels.device)
        pixels_BHW3 = self.pixels.index_select(0, places).to(self.device)
        mirrored = [row for row, flip in enumerate(flips) if flip]
        if mirrored:
            rows = torch.tensor(mirrored, device=self.device)
            pixels_BHW3.index_copy_(0, rows, pixels_BHW3.index_select(0, rows).flip(2))
        if self.device.type == "cpu":
            return to_tensor(pixels_BHW3)
        return look_up(pixels_BHW3)


def look_up(pixels: Tensor) -> Tensor:
    """:func:`to_tensor` by a table that the CPU makes: a GPU divides with another last bit."""
    levels = torch.arange(256, dtype=torch.uint8)
    table = rearrange(to_tensor(rearrange(levels, "n -> n 1 1 1")), "n 1 1 1 -> n")
    channels_first = rearrange(pixels, "... h w c -> ... c h w").contiguous()
    return table.to(pixels.device)[channels_first.int()]


def fill_cache(
    images: CaptionedImages,
    kind: Literal["ram", "device"],
    *,
    device: torch.device,
    copies: int = 1,
    shown: bool = True,
) -> PictureCache:
    """Read all ``images`` by ``data.workers`` processes, under a progress bar.

    ``copies`` processes of this machine do so at the same time. All unreadable files are counted.

    Raises:
        ValueError: there is not enough memory, or ``data.crop`` is ``random`` and an image is not
            square: which of its pixels are needed is not known beforehand.
        BadFilesError: more than ``data.max_bad_share`` of the files are bad.
    """
    place = device if kind == "device" else torch.device("cpu")
    shape = (len(images), images.image_size, images.image_size, 3)
    _check_memory(kind, math.prod(shape), place, copies if place.type == "cpu" else 1)
    pixels = torch.empty(shape, dtype=torch.uint8, device=place)
    bad: dict[int, str] = {}
    starts = range(0, len(images), READ)
    chunks = [list(range(start, min(start + READ, len(images)))) for start in starts]
    read = load(
        _SquareItems(images),
        chunks,
        workers=images.config.workers,
        batch_bytes=READ * images.bytes_each,
    )
    with counter("caching images", total=len(images), shown=shown) as advance:
        for chunk, items in zip(chunks, read, strict=True):
            _refuse_cuts(items.bad)
            images.note_bad(items.bad)
            bad |= {
                at: items.bad[images.records[at].key]
                for at in sorted(set(chunk) - set(items.indices))
            }
            if items.indices:
                rows = torch.tensor(items.indices, device=place) - chunk[0]
                part = pixels[chunk[0] : chunk[-1] + 1]
                part.index_copy_(0, rows, items.pixels.to(place))
            advance(len(chunk))
    return PictureCache(pixels=pixels, bad=bad, device=device)


@dataclass(frozen=True)
class _SquareItems(Dataset[Item]):
    """Reads an image without its caption; refuses what can be cut in several ways."""

    images: CaptionedImages

    def __getitem__(self, index: int) -> Item:
        pixels, bad = None, {}
        try:
            image = self.images.open(index)
            if self.images.config.crop == "random" and image.width != image.height:
                raise BadImageError(NOT_SQUARE)
            pixels = self.images.square(image)
        except (BadImageError, OSError) as error:
            bad[self.images.records[index].key] = str(error)
        return Item(index=index, caption="", pixels=pixels, bad=bad)


def _refuse_cuts(bad: dict[str, str]) -> None:
    for key, reason in bad.items():
        require(
            reason != NOT_SQUARE,
            f"data.cache: {key} is not square, and data.crop random would cut it from the file in "
            "another way each time: set data.crop to center, or data.cache to none",
        )


def _check_memory(kind: str, size: int, place: torch.device, copies: int) -> None:
    free = free_bytes(place)
    if free is None or size * copies <= free:
        return
    where = "main memory" if place.type == "cpu" else f"the memory of {place}"
    times = f", {copies} times (once a process)" if copies > 1 else ""
    other = " or ram" if kind == "device" and place.type != "cpu" else ""
    raise ValueError(
        f"data.cache {kind} needs {size:,} bytes{times} and {where} has {free:,} free: set "
        f"data.cache to none{other}"
    )
