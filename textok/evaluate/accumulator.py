"""Running sums of one way of reconstructing, image by image and over processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from textok.evaluate.report import CodebookUse
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.frechet import FeatureStatistics, frechet_distance, merge_all
from textok.metrics.image import ImageMetric, from_8bit, psnr, to_8bit
from textok.metrics.interval import Interval, mean_interval
from textok.nn.codebook import code_use
from textok.runtime.processes import gather

PSNR_OF_MEAN = "psnr_of_mean"


class MetricAccumulator:
    """Feature statistics and per-image metrics of reconstructions, rounded to 8 bits first.

    Also how often each of ``codebook_size`` codes occurs in them, where there are codes.
    """

    def __init__(
        self,
        features: FeatureNetwork,
        metrics: Mapping[str, ImageMetric],
        *,
        others: Sequence[FeatureNetwork] = (),
        codebook_size: int = 0,
    ) -> None:
        self._features, self._others = features, others
        self._metrics = metrics
        self.statistics = FeatureStatistics.empty(features.width)
        self.other_statistics = {
            network.metric: FeatureStatistics.empty(network.width) for network in others
        }
        """Those of the other networks, by the name of their Frechet distance."""
        self.values: dict[str, dict[str, float]] = {name: {} for name in metrics}
        self.codes = torch.zeros(codebook_size, dtype=torch.int64)
        """(V,): times that each code occurs."""

    def add(
        self,
        images_B3HW: Tensor,
        originals_B3HW: Tensor,
        keys: Sequence[str],
        *,
        codes_BK: Tensor | None = None,
        mean_B3HW: Tensor | None = None,
    ) -> None:
        """Measure one batch; ``keys`` name the images, ``codes`` are what they were made of.

        ``mean`` are the means of several samples of each, of which the PSNR alone is measured.
        """
        images = from_8bit(to_8bit(images_B3HW))
        batch = FeatureStatistics.of(self._features.extract(images))
        self.statistics = self.statistics.merge(batch)
        for network in self._others:
            batch = FeatureStatistics.of(network.extract(images))
            before = self.other_statistics[network.metric]
            self.other_statistics[network.metric] = before.merge(batch)
        for name, metric in self._metrics.items():
            measured = metric(images, originals_B3HW).tolist()
            self.values[name].update(zip(keys, measured, strict=True))
        if mean_B3HW is not None:
            measured = psnr(from_8bit(to_8bit(mean_B3HW)), originals_B3HW).tolist()
            several = self.values.setdefault(PSNR_OF_MEAN, {})
            several.update(zip(keys, measured, strict=True))
        if codes_BK is not None:
            self.codes += torch.bincount(codes_BK.flatten().cpu(), minlength=len(self.codes))

    def gather(self) -> None:
        """Take in what the other processes measured."""
        self.statistics = merge_all(gather(self.statistics))
        for name, statistics in self.other_statistics.items():
            self.other_statistics[name] = merge_all(gather(statistics))
        self.codes = torch.stack(gather(self.codes)).sum(0)
        parts = gather(self.values)
        for name in list(dict.fromkeys(name for part in parts for name in part)):
            self.values[name] = {k: v for part in parts for k, v in part.get(name, {}).items()}
            assert len(self.values[name]) == self.statistics.count, "an image was measured twice"

    def codebook(self) -> CodebookUse | None:
        """What the codes say; None where there were none."""
        if not self.codes.any():
            return None
        share, perplexity = code_use(self.codes)
        return CodebookUse(share=share, perplexity=perplexity)

    def other_frechet(self, originals: MetricAccumulator) -> dict[str, float]:
        """The Frechet distance in each other network, by name."""
        return {
            name: frechet_distance(statistics, originals.other_statistics[name])
            for name, statistics in self.other_statistics.items()
        }

    def intervals(self) -> dict[str, Interval]:
        """Mean and interval of each metric, the same whatever the number of processes."""
        return {
            name: mean_interval([values[key] for key in sorted(values)])
            for name, values in self.values.items()
        }
