"""A few fixed pictures, reconstructed now and then."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image
from torch import Tensor

from textok.data.pixels import to_pil
from textok.runtime.sheet import picture_sheet
from textok.types import Batch


def preview_sheet(batch: Batch, columns: Mapping[str, Tensor]) -> Image.Image:
    """Originals beside ``columns`` of images (B, 3, H, W), a row an image."""
    columns = {"original": batch.images, **columns}
    pictures = {name: [to_pil(image) for image in rows.cpu()] for name, rows in columns.items()}
    return picture_sheet(pictures, batch.captions, cell=max(96, batch.images.shape[-1]))
