"""PCA of the training pixels with as many floats as a tokenizer: the gate it has to pass."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from textok.config import DataConfig
from textok.data import CaptionedImages, eval_batches, open_captioned_images
from textok.metrics.image import to_8bit
from textok.metrics.pca import PixelPca, fit_pca
from textok.runtime.counter import counter
from textok.runtime.files import atomic_write

BATCH = 256


def fit_baseline(
    data: DataConfig,
    *,
    floats: int,
    device: torch.device,
    cache: Path | None,
    measured: CaptionedImages,
    quiet: bool,
) -> PixelPca:
    """Principal components of the images of ``data``, read from ``cache`` if they are there.

    Raises ValueError for data that are too few or have images in common with ``measured``.
    """
    images = open_captioned_images(data, image_size=measured.image_size)
    if overlaps(images, measured):
        raise ValueError(
            f"PCA would be fitted on images that it is measured on: {data.path} has no train split "
            "of its own"
        )
    path = None if cache is None else cache / f"pca-{images_digest(images, floats)}.safetensors"
    if path is not None and path.is_file():
        try:
            stored = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: damaged ({error}); delete it") from error
        pca = PixelPca(mean=stored["mean"], basis=stored["basis"], image_size=images.image_size)
        return pca.to(device)
    parts = []
    with counter("reading for PCA", total=len(images), shown=not quiet) as count:
        for batch in eval_batches(images, batch_size=BATCH, workers=data.workers):
            parts.append(to_8bit(batch.images))
            count(len(batch.keys))
    pixels = torch.cat(parts)
    pca = fit_pca(pixels, floats, device=device)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, shared=True) as temporary:
            save_file({"mean": pca.mean.cpu(), "basis": pca.basis.cpu()}, temporary)
    return pca


def overlaps(images: CaptionedImages, measured: CaptionedImages) -> bool:
    """Whether the two have a file in common."""
    places = {(record.file, record.span) for record in measured.records}
    return any((record.file, record.span) in places for record in images.records)


def images_digest(images: CaptionedImages, settings: object) -> str:
    """A name of everything that is made of images by ``settings``: files, cut and settings.

    A file that was written to since has another one, which costs less than to read it.
    """
    digest = hashlib.sha256(repr((images.image_size, settings)).encode())
    cut = {"fit": (images.config.fit, "crop"), "resize": (images.config.resize, "lanczos")}
    digest.update("".join(f"{k} {v}\n" for k, (v, usual) in cut.items() if v != usual).encode())
    stat = cache(Path.stat)
    for record in images.records:
        file = stat(record.file)
        place = f"{record.file.resolve()} {file.st_size} {file.st_mtime_ns} {record.span}"
        digest.update(f"{place} {record.key}\n".encode())
    return digest.hexdigest()[:16]
