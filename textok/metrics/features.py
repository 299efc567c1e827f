"""Networks whose features are measured in, or aligned with, by name."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from textok.config.networks import Resizing, require_feature_network
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.inception import (
    inception_features,
    inception_spatial_features,
    load_inception,
)
from textok.metrics.vision_models import load_vision_model
from textok.nn.efficientnet_lite import (
    PACKAGE,
    POOLED_CHANNELS,
    EfficientNetLite0,
    load_efficientnet_lite0,
)
from textok.nn.lpips import CONVS, LPIPS, Backbone, load_lpips

LPIPS_NETWORKS: dict[str, tuple[Backbone, str, int]] = {
    "vgg16": ("vgg", "VGG16", 96),
    "alexnet": ("alex", "AlexNet", 224),
}
"""The backbone, the name in reports, and the side in pixels that images are resized to: 224 px, as
in training, where that is cheap (VGG16 takes 15 GMAC for it)."""


INCEPTION_NETWORKS = {
    "inception": inception_features,
    "inception_spatial": inception_spatial_features,
}


def load_feature_network(
    name: str,
    *,
    weights: Path | None = None,
    resizing: Resizing = "tensorflow",
    device: torch.device | str = "cpu",
) -> FeatureNetwork:
    """The feature network called ``name``, on ``device``.

    ``efficientnet_lite0`` works offline; ``vgg16`` and ``alexnet`` are those of LPIPS's file;
    ``inception`` (FID) and ``inception_spatial`` (sFID) read torch-fidelity's
    ``weights-inception-2015-12-05-6726825d.pth`` from ``weights``, and ``resizing`` is theirs.
    Any other name is the folder or hub name of an image network of transformers: see
    ``load_vision_model``. Raises ValueError for unknown names and for weights or packages that are
    missing.
    """
    if name == "efficientnet_lite0":
        return lite0_features(load_efficientnet_lite0(weights).to(device))
    if name in LPIPS_NETWORKS:
        return lpips_features(load_lpips(LPIPS_NETWORKS[name][0], path=weights).to(device))
    if name in INCEPTION_NETWORKS:
        return INCEPTION_NETWORKS[name](load_inception(weights, device=device, resizing=resizing))
    require_feature_network(name)
    return load_vision_model(name, device=device)


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
        with_gradient=network.pooled,
        feature_map=network.last_map,
    )


def lpips_features(network: LPIPS) -> FeatureNetwork:
    """FD-VGG16 or FD-AlexNet: the last feature map of LPIPS's network, averaged over positions."""
    name, called, size = next(
        (name, called, size)
        for name, (backbone, called, size) in LPIPS_NETWORKS.items()
        if backbone == network.backbone
    )

    def pooled(images_B3HW: Tensor) -> Tensor:
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
        extract=torch.no_grad()(pooled),
        with_gradient=pooled,
    )
