"""Running sums of one way of reconstructing, image by image and over processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from textok.metrics.features import FeatureNetwork
from textok.metrics.frechet import FeatureStatistics, merge_all
from textok.metrics.image import ImageMetric, from_8bit, to_8bit
from textok.metrics.interval import Interval, mean_interval
from textok.runtime.processes import gather


class Tally:
    """Feature statistics and per-image metrics of reconstructions, rounded to 8 bits first."""

    def __init__(self, features: FeatureNetwork, metrics: Mapping[str, ImageMetric]) -> None:
        self._features = features
        self._metrics = metrics
        self.statistics = FeatureStatistics.empty(features.width)
        self.values: dict[str, dict[str, float]] = {name: {} for name in metrics}

    def add(self, images_B3HW: Tensor, originals_B3HW: Tensor, keys: Sequence[str]) -> None:
        """Measure one batch; ``keys`` name the images."""
        images = from_8bit(to_8bit(images_B3HW))
        batch = FeatureStatistics.of(self._features.extract(images))
        self.statistics = self.statistics.merge(batch)
        for name, metric in self._metrics.items():
            measured = metric(images, originals_B3HW).tolist()
            self.values[name].update(zip(keys, measured, strict=True))

    def gather(self) -> None:
        """Take in what the other processes measured."""
        self.statistics = merge_all(gather(self.statistics))
        parts = gather(self.values)
        for name in self.values:
            self.values[name] = {key: part[name][key] for part in parts for key in part[name]}
            assert len(self.values[name]) == self.statistics.count, "an image was measured twice"

    def intervals(self) -> dict[str, Interval]:
        """Mean and interval of each metric, the same whatever the number of processes."""
        return {
            name: mean_interval([values[key] for key in sorted(values)])
            for name, values in self.values.items()
        }
