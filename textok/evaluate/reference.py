"""What Frechet distances are measured to where that is a file, not the images of the split."""

from __future__ import annotations

from pathlib import Path

import torch

from textok.evaluate.judges import Judges
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.frechet import FeatureStatistics, Moments, merge_all
from textok.metrics.reference import ReferenceFile, open_reference
from textok.runtime.processes import gather, join_processes

REFERENCE = "reference of Frechet distances"
"""Its name in the protocol."""


def open_reference_for(path: Path | None, judges: Judges) -> ReferenceFile | None:
    """The file ``path``, if any, once every network of the judges can be measured to it.

    Raises ValueError for a file that is no reference, or of another network.
    """
    if path is None:
        return None
    reference = open_reference(path)
    for network in judges.networks:
        if reference.has_statistics(network) or not reference.has_images:
            reference.statistics(network)
    return reference


def reference_moments(
    file: ReferenceFile, judges: Judges, *, device: torch.device, batch_size: int
) -> dict[str, Moments]:
    """Mean and covariance in every network, by the name of its Frechet distance.

    The file's own statistics, or those of its images: every process calls it, and each measures
    its share of them.
    """
    found = {}
    for network in judges.networks:
        if file.has_statistics(network):
            found[network.metric] = file.statistics(network)
        else:
            found[network.metric] = _of_images(file, network, device, batch_size)
    return found


def _of_images(
    file: ReferenceFile, network: FeatureNetwork, device: torch.device, batch_size: int
) -> Moments:
    rank, world_size = join_processes()
    mine = FeatureStatistics.empty(network.width)
    for number, images in enumerate(file.images(batch_size)):
        if number % world_size == rank:
            features = network.extract(images.to(device)).float().cpu()
            mine = mine.merge(FeatureStatistics.of(features))
    return merge_all(gather(mine)).moments


def describe_reference(file: ReferenceFile | None) -> dict[str, str]:
    """The entry of the protocol; none without a file."""
    if file is None:
        return {}
    held = "statistics" if "mu" in file.arrays or "mu_s" in file.arrays else "images"
    return {REFERENCE: f"{file.path.name}, {held}; {file.digest}"}
