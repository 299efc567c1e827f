"""The Frechet loss of a training: frozen networks, and statistics of the real images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from textok.config.check import require
from textok.config.frechet import FrechetConfig
from textok.data import CaptionedImages, eval_batches
from textok.evaluate.baseline import images_digest
from textok.losses.frechet import FrechetLoss, Population, Reference
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.features import load_feature_network
from textok.metrics.frechet import FeatureStatistics, Moments, merge_all
from textok.runtime.checksum import load_with_sum, sum_of
from textok.runtime.counter import counter
from textok.runtime.files import atomic_write
from textok.train.distributed import Distributed

BATCH = 64
FOLDER = "real-statistics"
"""In the run folder."""


def open_networks(config: FrechetConfig, device: torch.device) -> dict[str, FeatureNetwork]:
    """The frozen networks of the loss; none where its weight is 0.

    Raises ValueError where one cannot be loaded.
    """
    if config.weight == 0:
        return {}
    return {name: load_feature_network(name, device=device) for name in config.networks}


def open_frechet_loss(
    config: FrechetConfig,
    networks: Mapping[str, FeatureNetwork],
    images: CaptionedImages,
    *,
    run: Path,
    distributed: Distributed,
) -> FrechetLoss | None:
    """The loss against ``images``, of which none is mirrored; None without ``networks``.

    Their statistics are read from ``config.statistics`` or the folder ``run``, or computed, by each
    process its share, and stored there. Raises ValueError for a damaged file.
    """
    if not networks:
        return None
    folder = Path(config.statistics) if config.statistics else run / FOLDER
    populations, extractors = {}, dict[str, Callable[[Tensor], Tensor]]()
    for name, network in networks.items():
        assert network.with_gradient is not None
        if config.population < network.width:
            distributed.print(
                f"{config.SETTING}.population {config.population} is less than the {network.width} "
                f"features of {name}: gradients are exaggerated, raise it to several times as many"
            )
        extractors[name] = network.with_gradient
        known = real_moments(images, network, folder=folder, distributed=distributed)
        populations[name] = Population(
            Reference.of(known.mean, known.covariance), size=config.population, every=config.every
        )
    return FrechetLoss(extractors, populations)


def real_moments(
    images: CaptionedImages, network: FeatureNetwork, *, folder: Path, distributed: Distributed
) -> Moments:
    """Mean and covariance of the features of ``images``, stored in ``folder``."""
    require(len(images) > 1, f"data.path {images.config.path}: one image alone has no covariance")
    digest = distributed.gather_objects(images_digest(images, network.protocol))[0]
    path = folder / f"{network.name}-{digest}.safetensors"
    if not all(distributed.gather_objects(path.is_file())):
        found = _measured(images, network, distributed)
        if distributed.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            tensors = {"mean": found.mean, "covariance": found.covariance}
            with atomic_write(path, shared=True) as temporary:
                save_file(tensors, temporary, metadata=sum_of(tensors))
        distributed.wait()
    try:
        stored = load_with_sum(path)
        return Moments(mean=stored["mean"], covariance=stored["covariance"])
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path}: damaged ({error}); delete it") from None


@torch.no_grad()
def _measured(
    images: CaptionedImages, network: FeatureNetwork, distributed: Distributed
) -> FeatureStatistics:
    """Of all images that can be read, cut at the centre."""
    rank, world_size = distributed.rank, distributed.world_size
    own = FeatureStatistics.empty(network.width)
    batches = eval_batches(
        images,
        batch_size=BATCH,
        rank=rank,
        world_size=world_size,
        workers=images.config.workers,
    )
    total = sum(
        min(BATCH, len(images) - start)
        for start in range(rank * BATCH, len(images), world_size * BATCH)
    )
    what = f"{network.metric} statistics of the real images"
    with counter(what, total=total, shown=distributed.is_main) as count:
        for batch in batches:
            features = network.extract(batch.images.to(distributed.device))
            own = own.merge(FeatureStatistics.of(features))
            count(len(batch.keys))
    return merge_all(distributed.gather_objects(own))
