"""Metrics of single images against their originals, each (B, 3, H, W) in [-1, 1] to (B,)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

from textok.nn.efficientnet_lite import EfficientNetLite0
from textok.nn.feature_distance import feature_distance, lite0_maps
from textok.nn.lpips import (
    LPIPS,
    SMALLEST,
    Backbone,
    default_weights,
    load_lpips,
    missing_weights,
)

ImageMetric = Callable[[Tensor, Tensor], Tensor]
"""(reconstructions, originals), both (B, 3, H, W) in [-1, 1], to one number an image (B,)."""

SSIM_SMALLEST = 6
"""Pixels a side: images are mirrored at their edges by the 5 that the window reaches over them."""
PSNR_LIMIT = 100.0
"""Decibels given to an exact copy, so that means stay finite."""


def to_8bit(images_B3HW: Tensor) -> Tensor:
    """Images of any range as uint8 (B, 3, H, W): clamped to [-1, 1], rounded to nearest."""
    return ((images_B3HW.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_8bit(images_B3HW: Tensor) -> Tensor:
    """uint8 images as float32 in [-1, 1]."""
    return images_B3HW.float() / 127.5 - 1


def psnr(x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
    """10 log10(peak^2 / MSE) in dB with a peak of 2, the whole range; at most ``PSNR_LIMIT``."""
    mse_B = (x_B3HW.double() - y_B3HW.double()).square().mean(dim=(1, 2, 3))
    return (10 * torch.log10(4 / mse_B)).clamp(max=PSNR_LIMIT).float()


def ssim(x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) on [0, 1]: 11 x 11 Gaussian window, sigma 1.5."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    # In float32: rounding moves the third digit of flat images by less than one, and float64
    # would take twenty times as long on a CPU.
    values = structural_similarity_index_measure(
        (x_B3HW.float() + 1) / 2, (y_B3HW.float() + 1) / 2, data_range=1.0, reduction="none"
    )
    assert isinstance(values, Tensor)
    return values.reshape(len(x_B3HW))


def perceptual_metric(network: EfficientNetLite0) -> ImageMetric:
    """The distance of EfficientNet-Lite0 features at the images' own resolution, in [0, 4]."""

    def distance(x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        return feature_distance(lite0_maps(network, x_B3HW), lite0_maps(network, y_B3HW))

    return distance


class LPIPSMetric:
    """LPIPS of each image (arXiv 1801.03924), at the images' own resolution.

    The originals of one batch are often compared with several reconstructions one after the other:
    their feature maps are computed once.
    """

    def __init__(self, network: LPIPS) -> None:
        self._network = network
        self._latest: tuple[Tensor, list[Tensor]] | None = None

    @torch.no_grad()
    def __call__(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        if self._latest is None or self._latest[0] is not y_B3HW:
            self._latest = y_B3HW, self._network.maps(y_B3HW)
        return self._network.distance(self._network.maps(x_B3HW), self._latest[1])


LPIPS_METRICS: dict[str, Backbone] = {"lpips": "vgg", "lpips_alex": "alex"}
"""By the backbone; papers on tokenizers report VGG's."""


def load_image_metrics(
    network: EfficientNetLite0, device: torch.device | str, *, image_size: int | None = None
) -> tuple[dict[str, ImageMetric], list[str]]:
    """Every available metric by name, and one line of reason for each that is not.

    ``image_size`` leaves out those that cannot measure images so small. Raises ValueError where
    the packages of ``textok[eval]`` are missing, or LPIPS's file is damaged.
    """
    if importlib.util.find_spec("torchmetrics") is None:
        raise ValueError("evaluation needs torchmetrics: install textok[eval]")
    metrics: dict[str, ImageMetric] = {
        "psnr": psnr,
        "ssim": ssim,
        "perceptual": perceptual_metric(network),
    }
    absent = []
    if image_size is not None and image_size < SSIM_SMALLEST:
        del metrics["ssim"]
        absent.append(f"SSIM (takes images of {SSIM_SMALLEST} px or more)")
    if not default_weights().is_file():
        return metrics, [*absent, missing_weights(default_weights())]
    for name, backbone in LPIPS_METRICS.items():
        least = SMALLEST[backbone]
        if image_size is not None and image_size < least:
            absent.append(f"LPIPS by {backbone} (takes images of {least} px or more)")
        else:
            metrics[name] = LPIPSMetric(load_lpips(backbone).to(device))
    return metrics, absent
