"""How far real images are from real ones: where a Frechet distance of so few begins.

Of training images and as many test images, both evenly spaced over their splits: what a perfect
generator would have. A gain in per cent of the whole distance understates what it is of the rest.

    python -m studies.real_distance --data data/tiny-imagenet
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from studies.command import run_command
from studies.subset import subset
from textok.config.check import require_range
from textok.evaluate.image_features import image_features
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.features import load_feature_network
from textok.metrics.frechet import FeatureStatistics, frechet_distance


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The Frechet distance of training images to test images, at 64 px."""

    data: Path = Path("data/tiny-imagenet")
    """A set with train and test."""
    limit: int = 500
    """Images of each."""
    feature_networks: tuple[str, ...] = ("efficientnet_lite0", "vgg16")
    """In whose features."""

    def __post_init__(self) -> None:
        require_range("limit", self.limit, 2)


def real_distance(data: Path, network: FeatureNetwork, limit: int) -> float:
    """Of at most ``limit`` images of each split. Raises ValueError for unreadable data."""
    train, test = (
        FeatureStatistics.of(
            image_features(
                subset(data, split, limit),
                network,
                device=torch.device("cpu"),
                batch_size=50,
                cache=None,
            ).features
        )
        for split in ("train", "test")
    )
    return frechet_distance(train, test)


def main(arguments: Arguments) -> None:
    """Print it, a line for each network."""
    for name in arguments.feature_networks:
        network = load_feature_network(name)
        distance = real_distance(arguments.data, network, arguments.limit)
        print(f"{network.metric} {distance:.2f}")


if __name__ == "__main__":
    run_command(main, "studies.real_distance", settings=Arguments)
