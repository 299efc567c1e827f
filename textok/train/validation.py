"""How well a network in training reconstructs pictures that it never learns from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from textok.data import CaptionedImages, eval_batches
from textok.evaluate.accumulator import MetricAccumulator
from textok.metrics.features import lite0_features
from textok.metrics.frechet import FeatureStatistics, frechet_distance
from textok.metrics.image import from_8bit, load_image_metrics, to_8bit
from textok.nn.efficientnet_lite import load_efficientnet_lite0
from textok.runtime.processes import gather, join_processes
from textok.types import Batch

BATCH = 32


class Validation:
    """The same pictures every time, measured as `textok evaluate reconstruction` measures.

    They stay in memory as bytes, each process its share. Nothing here draws from the random
    generators of the training. Raises ValueError where packages of textok[eval] are missing.
    """

    def __init__(self, images: CaptionedImages, *, device: torch.device) -> None:
        self._device = device
        with torch.random.fork_rng(devices=[]):  # networks draw weights before they load theirs
            network = load_efficientnet_lite0().to(device)
            self._metrics, _ = load_image_metrics(network, device, image_size=images.image_size)
        # VGG16 costs more than a small tokenizer's training step; AlexNet's LPIPS says as much.
        self._metrics.pop("lpips", None)
        self._features = lite0_features(network)
        self.captions = [next(iter(record.captions), "") for record in images.records]
        """The first of every picture, of all processes."""
        rank, world_size = join_processes()
        batches = eval_batches(images, batch_size=BATCH, rank=rank, world_size=world_size)
        self._batches = [replace(batch, images=to_8bit(batch.images)) for batch in batches]

    def measure(self, reconstruct: Callable[[Batch], Mapping[str, Tensor]]) -> dict[str, float]:
        """Means of the metrics of single images, and the Frechet distance to the originals.

        ``reconstruct`` makes images (B, 3, H, W) of a batch, by the name of the way they are made.
        The first way is measured as ``val_psnr`` and so on, each other one as ``val_psnr_NAME``.
        All processes ask together; the first one has the answer, the others have none.
        """
        tallies: dict[str, MetricAccumulator] = {}
        for kept in self._batches:
            batch = self._images_of(kept)
            for name, images in reconstruct(batch).items():
                tally = tallies.setdefault(name, MetricAccumulator(self._features, self._metrics))
                tally.add(images, batch.images, batch.keys)
        found: dict[str, float] = {}
        # A process may have had no picture, and so not know of the ways.
        ways = dict.fromkeys(name for names in gather(list(tallies)) for name in names)
        for place, name in enumerate(ways):
            tally = tallies.get(name, MetricAccumulator(self._features, self._metrics))
            tally.gather()
            originals = self._originals
            if join_processes()[0] == 0:
                ending = f"_{name}" if place else ""
                means = {metric: value.mean for metric, value in tally.intervals().items()}
                means["fd"] = frechet_distance(tally.statistics, originals)
                found |= {f"val_{metric}{ending}": mean for metric, mean in means.items()}
        return found

    @cached_property
    def _originals(self) -> FeatureStatistics:
        """Features of the pictures themselves, of all processes."""
        tally = MetricAccumulator(self._features, {})
        for kept in self._batches:
            batch = self._images_of(kept)
            tally.add(batch.images, batch.images, batch.keys)
        tally.gather()
        return tally.statistics

    def _images_of(self, kept: Batch) -> Batch:
        batch = kept.to(self._device)
        return replace(batch, images=from_8bit(batch.images))
