"""How well a tokenizer or VQGAN in training reconstructs images that it is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Generic, TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from textok.config.networks import backbones
from textok.data import CaptionedImages, eval_batches
from textok.data.pixels import to_pil
from textok.evaluate.accumulator import MetricAccumulator
from textok.evaluate.judges import METRIC_NETWORKS
from textok.metrics.features import lite0_features
from textok.metrics.frechet import FeatureStatistics, frechet_distance
from textok.metrics.image import from_8bit, load_image_metrics, to_8bit
from textok.nn.efficientnet_lite import load_efficientnet_lite0
from textok.runtime.sheet import picture_sheet
from textok.train.distributed import Distributed
from textok.types import Batch

BATCH = 32
JUDGES = {"fd": "efficientnet_lite0", **METRIC_NETWORKS}
"""The network that each metric is measured in, of those that have one."""
Network = TypeVar("Network", bound=nn.Module)


def not_comparable(*trained_against: str) -> list[str]:
    """The metrics that say little of a model that was trained against these networks."""
    seen = backbones(trained_against)
    return [name for name, network in JUDGES.items() if network in seen]


class ReconstructionValidator(Generic[Network]):
    """Shows a few reconstructed images, and measures many where ``measured`` is given.

    ``reconstruct`` makes images (B, 3, H, W), not clamped, of a batch by a network: one entry for
    each way there is, by its name; the first is how the network is meant to be used.
    """

    def __init__(
        self,
        reconstruct: Callable[[Network, Batch], Mapping[str, Tensor]],
        *,
        preview: Batch,
        measured: MeasuredImages | None,
        device: torch.device,
    ) -> None:
        self._reconstruct, self._measured = reconstruct, measured
        self._preview, self._device = preview, device

    def sheet(self, network: Network) -> Image.Image:
        """The preview images beside their reconstructions, a row each."""
        columns = self._reconstruct(network, self._preview.to(self._device))
        columns = {"original": self._preview.images, **columns}
        pictures = {name: [to_pil(image) for image in rows.cpu()] for name, rows in columns.items()}
        cell = max(96, self._preview.images.shape[-1])
        return picture_sheet(pictures, self._preview.captions, cell=cell)

    def measure(self, network: Network) -> dict[str, float]:
        """The metrics of ``MeasuredImages``; none without them."""
        if self._measured is None:
            return {}
        return self._measured.measure(lambda batch: self._reconstruct(network, batch))


class MeasuredImages:
    """The same images every time, measured as `textok evaluate reconstruction` measures.

    They stay in memory as bytes, each process its share. Nothing here advances the random
    generators of the training. Raises ValueError where packages of textok[eval] are missing.
    """

    def __init__(self, images: CaptionedImages, *, distributed: Distributed) -> None:
        self._distributed, device = distributed, distributed.device
        with torch.random.fork_rng(devices=[]):  # networks are initialised before they are loaded
            network = load_efficientnet_lite0().to(device)
            self._metrics, _ = load_image_metrics(network, device, image_size=images.image_size)
        # VGG16 costs more than a small tokenizer's training step; AlexNet's LPIPS says as much.
        self._metrics.pop("lpips", None)
        self._features = lite0_features(network)
        self.captions = [next(iter(record.captions), "") for record in images.records]
        """The first of every image, of all processes."""
        batches = eval_batches(
            images,
            batch_size=BATCH,
            rank=distributed.rank,
            world_size=distributed.world_size,
        )
        self._batches = [replace(batch, images=to_8bit(batch.images)) for batch in batches]

    def measure(self, reconstruct: Callable[[Batch], Mapping[str, Tensor]]) -> dict[str, float]:
        """Means of the metrics of single images, and the Frechet distance to the originals.

        The first way that ``reconstruct`` gives is measured as ``val_psnr`` and so on, each other
        one as ``val_psnr_NAME``. Called by all processes; the result is in the main one.
        """
        tallies: dict[str, MetricAccumulator] = {}
        for kept in self._batches:
            batch = self._images_of(kept)
            for name, images in reconstruct(batch).items():
                tally = tallies.setdefault(name, MetricAccumulator(self._features, self._metrics))
                tally.add(images, batch.images, batch.keys)
        found: dict[str, float] = {}
        # A process without images does not know the ways.
        gathered = self._distributed.gather_objects(list(tallies))
        ways = dict.fromkeys(name for names in gathered for name in names)
        for place, name in enumerate(ways):
            tally = tallies.get(name, MetricAccumulator(self._features, self._metrics))
            tally.gather()
            originals = self._originals
            if self._distributed.is_main:
                ending = f"_{name}" if place else ""
                means = {metric: value.mean for metric, value in tally.intervals().items()}
                means["fd"] = frechet_distance(tally.statistics, originals)
                found |= {f"val_{metric}{ending}": mean for metric, mean in means.items()}
        return found

    @cached_property
    def _originals(self) -> FeatureStatistics:
        """Features of the images themselves, of all processes."""
        tally = MetricAccumulator(self._features, {})
        for kept in self._batches:
            batch = self._images_of(kept)
            tally.add(batch.images, batch.images, batch.keys)
        tally.gather()
        return tally.statistics

    def _images_of(self, kept: Batch) -> Batch:
        batch = kept.to(self._distributed.device)
        return replace(batch, images=from_8bit(batch.images))
