"""Features of the images of a data set, each once, divided over processes, kept on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from textok.data import CaptionedImages, eval_batches, open_captioned_images
from textok.data.detect import own_splits
from textok.evaluate.baseline import images_digest, overlaps
from textok.metrics.feature_network import FeatureNetwork
from textok.runtime.counter import counter
from textok.runtime.files import atomic_write
from textok.runtime.processes import gather, join_processes
from textok.types import Batch


@dataclass(frozen=True, kw_only=True)
class ImageFeatures:
    """Features of the images that could be read."""

    images: CaptionedImages
    """The same images."""
    features: Tensor
    """(n, F) float32, in the order of ``images``."""


def training_images(measured: CaptionedImages) -> CaptionedImages | None:
    """The train split beside the ``measured`` images; None where they are part of it.

    None, too, where the set has other splits alone.
    """
    config = dataclasses.replace(measured.config, split="train")
    splits = () if measured.parts else own_splits(config)
    if splits and config.split not in splits:
        return None
    training = open_captioned_images(config, image_size=measured.image_size)
    return None if overlaps(training, measured) else training


def image_features(
    images: CaptionedImages,
    network: FeatureNetwork,
    *,
    device: torch.device,
    batch_size: int,
    cache: Path | None,
) -> ImageFeatures:
    """The features of ``images``, read from the folder ``cache`` if they are there.

    Raises ValueError for a damaged file.
    """
    path = None
    if cache is not None:
        digest = gather(images_digest(images, network.protocol))[0]
        path = cache / f"features-{digest}.safetensors"
    if path is not None and all(gather(path.is_file())):
        try:
            stored = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: damaged ({error}); delete it") from error
        return _of_rows(images, stored["rows"].tolist(), stored["features"])
    rows, features = over_images(
        images,
        lambda batch: network.extract(batch.images),
        device=device,
        batch_size=batch_size,
        what=f"features of {images.config.split}",
    )
    if path is not None and join_processes()[0] == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, shared=True) as temporary:
            save_file({"features": features, "rows": torch.tensor(rows)}, temporary)
    return _of_rows(images, rows, features)


def over_images(
    images: CaptionedImages,
    measure: Callable[[Batch], Tensor],
    *,
    device: torch.device,
    batch_size: int,
    what: str,
) -> tuple[list[int], Tensor]:
    """Places of the images that could be read, and what ``measure`` found of each, in order."""
    rank, world_size = join_processes()
    places = {record.key: place for place, record in enumerate(images.records)}
    rows: list[int] = []
    parts: list[Tensor] = []
    batches = eval_batches(
        images,
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
        workers=images.config.workers,
    )
    starts = range(rank * batch_size, len(images), world_size * batch_size)
    share = sum(min(batch_size, len(images) - start) for start in starts)
    with counter(what, total=share, shown=rank == 0) as count:
        for batch in batches:
            parts.append(measure(batch.to(device)).float().cpu())
            rows += [places[key] for key in batch.keys]
            count(len(batch.keys))
    several = gather((rows, torch.cat(parts) if parts else torch.empty(0)))
    rows = [row for part, _ in several for row in part]
    values = torch.cat([values for _, values in several if len(values)])
    order = sorted(range(len(rows)), key=rows.__getitem__)
    return [rows[place] for place in order], values[order]


def _of_rows(images: CaptionedImages, rows: list[int], features: Tensor) -> ImageFeatures:
    kept = dataclasses.replace(images, records=[images.records[row] for row in rows])
    return ImageFeatures(images=kept, features=features)
