"""A few fixed pictures, reconstructed now and then."""

from __future__ import annotations

import torch
from PIL import Image

from textok.data.pixels import to_pil
from textok.runtime.sheet import picture_sheet
from textok.tokenizer import Tokenizer
from textok.types import Batch, TextFeatures


@torch.no_grad()
def preview_sheet(tokenizer: Tokenizer, batch: Batch, text: TextFeatures | None) -> Image.Image:
    """Originals beside their reconstructions, with the caption and without it."""
    device = next(tokenizer.parameters()).device
    images = batch.images.to(device)
    columns = {"original": images}
    if text is None:
        columns["reconstruction"] = tokenizer(images).images
    else:
        columns["with caption"] = tokenizer(images, text.to(device)).images
        columns["without"] = tokenizer(images).images
    pictures = {name: [to_pil(image) for image in rows.cpu()] for name, rows in columns.items()}
    return picture_sheet(pictures, batch.captions, cell=max(96, images.shape[-1]))
