"""Which networks judge images, and which of them the tokenizer was trained against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from textok.config.check import require
from textok.config.networks import INCEPTION, UNKNOWN, backbones
from textok.metrics.feature_network import FeatureNetwork
from textok.nn.lpips import default_weights

METRIC_NETWORKS = {"perceptual": "efficientnet_lite0", "lpips": "vgg16", "lpips_alex": "alexnet"}
"""The network of each distance between an image and its reconstruction."""
MARK = "†"
FOOTNOTE = (
    f"{MARK} in a network that the model was trained against: not comparable with models that were "
    "not."
)
NO_NOTE = (
    "The tokenizer's folder does not say which perceptual networks it was trained against: a "
    "distance in one of these is not comparable."
)


class Load(Protocol):
    """Opens a feature network by name."""

    def __call__(self, name: str, *, weights: Path | None) -> FeatureNetwork: ...


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Feature networks; ``main`` is the one that everything is judged by."""

    networks: tuple[FeatureNetwork, ...]
    """Those that the tokenizer was not trained against first."""
    trained_with: tuple[str, ...]
    """Perceptual losses of the tokenizer; may hold ``unknown``."""

    @property
    def main(self) -> FeatureNetwork:
        return self.networks[0]

    @property
    def others(self) -> tuple[FeatureNetwork, ...]:
        return self.networks[1:]

    def not_comparable(self, metrics: Iterable[str] = ()) -> list[str]:
        """Of the Frechet distances and ``metrics``, those in networks that it was trained on."""
        seen = backbones(self.trained_with)
        distances = [network.metric for network in self.networks if network.name in seen]
        return distances + [name for name in metrics if METRIC_NETWORKS.get(name) in seen]

    def describe(self) -> dict[str, object]:
        """Entries of the protocol."""
        described: dict[str, object] = {
            "feature network": self.main.protocol,
            "trained against": ", ".join(self.trained_with) or "no pretrained network",
        }
        if self.others:
            described["other feature networks"] = {
                network.metric: network.protocol for network in self.others
            }
        return described

    def warnings(self) -> list[str]:
        """What the tokenizer's training takes away from the numbers."""
        if self.main.metric not in self.not_comparable():
            return []
        return [
            f"{self.main.metric} is in a network that the model was trained against, and no "
            "other one was given: name another feature network"
        ]


def open_judges(
    given: str | Sequence[str],
    *,
    weights: Path | None,
    trained_with: Sequence[str],
    load: Load,
) -> Judges:
    """The feature networks of the names ``given``; by default those that work offline here.

    ``weights`` are Inception's, where FID or sFID is among them, else those of the first. Raises
    ValueError for names or distances that come twice and for networks that cannot be loaded.
    """
    names = [given] if isinstance(given, str) else list(given) or default_names()
    require(len(set(names)) == len(names), f"feature networks {', '.join(names)}: one comes twice")
    weighted = [name for name in names if name in INCEPTION] or names[:1]
    networks = [load(name, weights=weights if name in weighted else None) for name in names]
    metrics = [network.metric for network in networks]
    require(
        len(set(metrics)) == len(metrics),
        f"feature networks {', '.join(names)}: two of them give one distance, of "
        f"{', '.join(metrics)}",
    )
    seen = backbones(trained_with)
    # sFID is a second look of Inception: what is judged by one network is not judged by it.
    networks.sort(key=lambda network: (network.name in seen, network.name == "inception_spatial"))
    return Judges(networks=tuple(networks), trained_with=tuple(trained_with))


def default_names() -> list[str]:
    """EfficientNet-Lite0, and VGG16 where LPIPS's weights are installed."""
    return ["efficientnet_lite0", *(["vgg16"] if default_weights().is_file() else [])]


def remarks(trained_with: Iterable[str], not_comparable: Iterable[str]) -> list[str]:
    """Lines below a table of distances."""
    found = [FOOTNOTE, ""] if list(not_comparable) else []
    return [*found, NO_NOTE, ""] if UNKNOWN in trained_with else found


def marked(headings: Mapping[str, str], not_comparable: Iterable[str]) -> dict[str, str]:
    """Headings of a table by metric, those that are not comparable with a mark."""
    flagged = set(not_comparable)
    return {
        name: f"{heading} {MARK}" if name in flagged else heading
        for name, heading in headings.items()
    }
