"""Networks whose features a Frechet distance is measured in, by name."""

from __future__ import annotations

import importlib.metadata
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from textok.metrics.image import to_8bit
from textok.nn.efficientnet_lite import (
    PACKAGE,
    POOLED_CHANNELS,
    EfficientNetLite0,
    load_efficientnet_lite0,
)
from textok.nn.lpips import CONVS, LPIPS, Backbone, load_lpips

INCEPTION_WIDTH = 2048
LPIPS_NETWORKS: dict[str, tuple[Backbone, str, int]] = {
    "vgg16": ("vgg", "VGG16", 96),
    "alexnet": ("alex", "AlexNet", 224),
}
"""The backbone, the name in reports, and the side in pixels that images are resized to: 224 px, as
in training, where that is cheap (VGG16 takes 15 GMAC for it)."""


@dataclass(frozen=True, kw_only=True)
class FeatureNetwork:
    """A frozen network and the name under which distances in its features are reported."""

    name: str
    """What it is called in settings, as in ``efficientnet_lite0``."""
    metric: str
    """What the distance is called in reports: only Inception's is a FID."""
    width: int
    """F, the number of features."""
    protocol: str
    """How images reach the network, for the report."""
    extract: Callable[[Tensor], Tensor]
    """Images (B, 3, H, W) in [-1, 1] to features (B, F)."""
    logits: Callable[[Tensor], Tensor] | None = None
    """Features (B, F) to the class logits of an Inception Score, where they are Inception's."""


def load_feature_network(
    name: str, *, weights: Path | None = None, device: torch.device | str = "cpu"
) -> FeatureNetwork:
    """The feature network called ``name``, on ``device``.

    ``efficientnet_lite0`` works offline; ``vgg16`` and ``alexnet`` are those of LPIPS's file;
    ``inception`` reads torch-fidelity's ``weights-inception-2015-12-05-6726825d.pth`` from
    ``weights``. Raises ValueError for another name and for weights or packages that are missing.
    """
    if name == "efficientnet_lite0":
        return lite0_features(load_efficientnet_lite0(weights).to(device))
    if name in LPIPS_NETWORKS:
        return lpips_features(load_lpips(LPIPS_NETWORKS[name][0], path=weights).to(device))
    if name == "inception":
        return _inception(weights, device)
    raise ValueError(
        f"feature network '{name}' is unknown: use efficientnet_lite0, vgg16, alexnet or inception"
    )


def lite0_features(network: EfficientNetLite0) -> FeatureNetwork:
    """FD-EffLite0: the 1280 pooled features of EfficientNet-Lite0."""
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        version = "local copy"
    return FeatureNetwork(
        name="efficientnet_lite0",
        metric="FD-EffLite0",
        width=POOLED_CHANNELS,
        protocol=(
            f"EfficientNet-Lite0, ImageNet weights ({PACKAGE} {version}), average-pooled features "
            "before the classifier, images resized to 224 px (bicubic, antialiased)"
        ),
        extract=network.pooled,
    )


def lpips_features(network: LPIPS) -> FeatureNetwork:
    """FD-VGG16 or FD-AlexNet: the last feature map of LPIPS's network, averaged over positions."""
    name, called, size = next(
        (name, called, size)
        for name, (backbone, called, size) in LPIPS_NETWORKS.items()
        if backbone == network.backbone
    )

    @torch.no_grad()
    def extract(images_B3HW: Tensor) -> Tensor:
        if images_B3HW.shape[-2:] != (size, size):
            images_B3HW = functional.interpolate(
                images_B3HW, (size, size), mode="bicubic", antialias=True
            ).clamp(-1, 1)
        return network.pooled(images_B3HW)

    return FeatureNetwork(
        name=name,
        metric=f"FD-{called}",
        width=CONVS[network.backbone][-1].channels,
        protocol=(
            f"{called}, ImageNet weights (LPIPS's), features of the last convolution, average-"
            f"pooled after ReLU, images resized to {size} px (bicubic, antialiased)"
        ),
        extract=extract,
    )


def _inception(weights: Path | None, device: torch.device | str) -> FeatureNetwork:
    """The FID network of torch-fidelity, through torchmetrics."""
    if weights is None or not weights.is_file():
        raise ValueError(
            "feature network 'inception' reads torch-fidelity's "
            f"weights-inception-2015-12-05-6726825d.pth from a local file, not from '{weights}'"
        )
    try:
        # torch-fidelity unpickles the file freely; what passes here holds nothing but tensors.
        torch.load(weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{weights}: not a file of plain weights") from error
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3

        network = NoTrainInceptionV3(
            name="inception-v3-compat",
            features_list=[str(INCEPTION_WIDTH)],
            feature_extractor_weights_path=str(weights),
        ).to(device)
    except ImportError as error:
        raise ValueError("Inception features need torch-fidelity: install textok[fid]") from error

    def extract(images_B3HW: Tensor) -> Tensor:
        features: Tensor = network(to_8bit(images_B3HW))
        return features

    def logits(features_BF: Tensor) -> Tensor:
        """Without the bias, as every Inception Score since 2016 has them."""
        weight: Tensor = network.fc.weight
        return features_BF @ weight.to(features_BF).T

    return FeatureNetwork(
        name="inception",
        metric="FID",
        width=INCEPTION_WIDTH,
        protocol=(
            "Inception-v3 (2015-12-05) as in torch-fidelity, pool3 features, 8-bit images resized "
            "to 299 px (bilinear, TensorFlow 1 style)"
        ),
        extract=extract,
        logits=logits,
    )
