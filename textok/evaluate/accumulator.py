"""Running sums of one way of reconstructing, image by image and over processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from textok.evaluate.report import CodebookUse
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.frechet import FeatureStatistics, Moments, frechet_distance, merge_all
from textok.metrics.image import ImageMetric, from_8bit, psnr, to_8bit
from textok.metrics.interval import Interval, mean_interval
from textok.metrics.kernel_distance import KernelDistance, has_kernel, kernel_distances
from textok.nn.codebook import code_use
from textok.runtime.processes import gather

PSNR_OF_MEAN = "psnr_of_mean"


class MetricAccumulator:
    """Feature statistics and per-image metrics of reconstructions, rounded to 8 bits first.

    Also how often each of ``codebook_size`` codes occurs in them, where there are codes, and with
    ``keep_features`` the features of every image, which a kernel distance needs.
    """

    def __init__(
        self,
        features: FeatureNetwork,
        metrics: Mapping[str, ImageMetric],
        *,
        others: Sequence[FeatureNetwork] = (),
        codebook_size: int = 0,
        keep_features: bool = False,
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
        self._keep_features = keep_features
        self._kept: list[tuple[list[str], dict[str, Tensor]]] = []
        """Of each batch its keys and features (b, F), by the name of the Frechet distance."""

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
        kept = {}
        for network in (self._features, *self._others):
            features = network.extract(images)
            self._merge(network, FeatureStatistics.of(features))
            if self._keep_features and has_kernel(network.metric):
                kept[network.metric] = features.float().cpu()
        if kept:
            self._kept.append((list(keys), kept))
        for name, metric in self._metrics.items():
            measured = metric(images, originals_B3HW).tolist()
            self.values[name].update(zip(keys, measured, strict=True))
        if mean_B3HW is not None:
            measured = psnr(from_8bit(to_8bit(mean_B3HW)), originals_B3HW).tolist()
            several = self.values.setdefault(PSNR_OF_MEAN, {})
            several.update(zip(keys, measured, strict=True))
        if codes_BK is not None:
            self.codes += torch.bincount(codes_BK.flatten().cpu(), minlength=len(self.codes))

    def _merge(self, network: FeatureNetwork, batch: FeatureStatistics) -> None:
        if network is self._features:
            self.statistics = self.statistics.merge(batch)
        else:
            before = self.other_statistics[network.metric]
            self.other_statistics[network.metric] = before.merge(batch)

    def gather(self) -> None:
        """Take in what the other processes measured."""
        self.statistics = merge_all(gather(self.statistics))
        for name, statistics in self.other_statistics.items():
            self.other_statistics[name] = merge_all(gather(statistics))
        self.codes = torch.stack(gather(self.codes)).sum(0)
        self._kept = [batch for part in gather(self._kept) for batch in part]
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

    @property
    def moments(self) -> dict[str, Moments]:
        """Mean and covariance in every network, by the name of its Frechet distance."""
        every = {self._features.metric: self.statistics} | self.other_statistics
        return {name: statistics.moments for name, statistics in every.items()}

    def frechet(self, reference: Mapping[str, Moments]) -> float:
        """The Frechet distance in the first network."""
        return frechet_distance(self.statistics, reference[self._features.metric])

    def other_frechet(self, reference: Mapping[str, Moments]) -> dict[str, float]:
        """The Frechet distance in each other network, by name."""
        return {
            name: frechet_distance(statistics, reference[name])
            for name, statistics in self.other_statistics.items()
        }

    def kernel(self, originals: MetricAccumulator) -> dict[str, KernelDistance]:
        """The kernel distances by name; none without kept features."""
        return kernel_distances(self._all_features(), originals._all_features())

    def _all_features(self) -> dict[str, Tensor]:
        """(n, F) in the order of the keys, the same whatever the number of processes."""
        keys = [key for batch, _ in self._kept for key in batch]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        names = self._kept[0][1] if self._kept else ()
        return {name: torch.cat([part[name] for _, part in self._kept])[order] for name in names}

    def intervals(self) -> dict[str, Interval]:
        """Mean and interval of each metric, the same whatever the number of processes."""
        return {
            name: mean_interval([values[key] for key in sorted(values)])
            for name, values in self.values.items()
        }
