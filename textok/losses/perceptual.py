"""Perceptual distances: modules (x, y) -> scalar for images (B,3,H,W) in [-1, 1].

y is the target and gets no gradient. The networks are frozen, stay in eval mode, and run in float32
also under autocast: distances of nearly equal features do not survive bfloat16.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from textok.config.check import require
from textok.nn.efficientnet_lite import CLASSES, EfficientNetLite0, load_efficientnet_lite0
from textok.nn.feature_distance import feature_distance, lite0_maps
from textok.nn.lpips import LPIPS, load_lpips

HUB_CLASSIFIERS = {
    "convnext": ("ConvNextForImageClassification", "facebook/convnext-small-224"),
    "resnet50": ("ResNetForImageClassification", "microsoft/resnet-50"),
}
"""Their class in transformers, and the hub name of their weights."""


class PerceptualLoss(nn.Module):
    """What they share: float32 without autocast, no gradient into the target, eval mode."""

    def forward(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        """Return the mean distance over the batch, a float32 scalar."""
        with torch.autocast(x_B3HW.device.type, enabled=False):
            return self.distance(x_B3HW.float(), y_B3HW.detach().float())

    def distance(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        """Return the distance as a scalar; both images are float32."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> PerceptualLoss:
        """Stay in eval mode: a loss with dropout would not be one function."""
        super().train(False)
        return self


class NoPerceptualLoss(PerceptualLoss):
    """Zero."""

    def distance(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        return x_B3HW.new_zeros(())


class EffLitePerceptual(PerceptualLoss):
    """Distance of EfficientNet-Lite0 feature maps at the images' own resolution, in [0, 4].

    The mean over images of ``feature_distance`` over ``LITE0_STAGES``.
    """

    def __init__(self, network: EfficientNetLite0) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)

    def distance(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        x_maps = lite0_maps(self.network, x_B3HW)
        with torch.no_grad():
            y_maps = lite0_maps(self.network, y_B3HW)
        return feature_distance(x_maps, y_maps).mean()


class LPIPSPerceptual(PerceptualLoss):
    """LPIPS (arXiv 1801.03924), with the authors' weights."""

    def __init__(self, network: LPIPS) -> None:
        super().__init__()
        self.network = network

    def distance(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        with torch.no_grad():
            y_maps = self.network.maps(y_B3HW)
        return self.network.distance(self.network.maps(x_B3HW), y_maps).mean()


class LogitsDistance(PerceptualLoss):
    """Mean squared error of the 1,000 logits of an ImageNet classifier.

    ``classify`` takes images (B,3,H,W) in [-1, 1].
    """

    def __init__(self, classify: nn.Module) -> None:
        super().__init__()
        self.classify = classify.requires_grad_(False).eval()

    def distance(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        x_logits = self.classify(x_B3HW)
        with torch.no_grad():
            y_logits = self.classify(y_B3HW)
        return F.mse_loss(x_logits, y_logits)


class HubClassifier(nn.Module):
    """An ImageNet classifier in the transformers format, on images in [-1, 1], at 224 px.

    Args:
        name: "convnext", whose logits are a loss of TiTok, or "resnet50".
        path: its folder or hub name; the published weights without it.

    Raises ValueError when it cannot be loaded, or is another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, path: str | None = None) -> None:
        super().__init__()
        import transformers

        kind, published = HUB_CLASSIFIERS[name]
        path = path or published
        try:
            with warnings.catch_warnings():  # of pickles of other protocols
                warnings.simplefilter("ignore", UserWarning)
                self.network, loaded = getattr(transformers, kind).from_pretrained(
                    path, output_loading_info=True
                )
        # A pickle of something else and a damaged file fail in any of these ways.
        except (
            OSError,
            RuntimeError,
            ValueError,
            LookupError,
            EOFError,
            UnpicklingError,
            SafetensorError,
        ) as error:
            raise ValueError(
                f"{name}: cannot load {path!r}; give the folder of a downloaded copy of {published}"
            ) from error
        require(
            not loaded["missing_keys"] and self.network.config.num_labels == CLASSES,
            f"{name}: {path} is not that classifier with {CLASSES} classes; give a copy of "
            f"{published}",
        )
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("std", std[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        images = F.interpolate(images, (224, 224), mode="bilinear", antialias=True)
        logits: Tensor = self.network(((images + 1) / 2 - self.mean) / self.std).logits
        return logits


def perceptual_loss(name: str, *, path: str | None = None) -> PerceptualLoss:
    """Return the perceptual loss called `name`.

    Args:
        name: "efficientnet_lite0", "lpips_alex", "lpips_vgg", "convnext" or "none".
        path: weights to use instead of the default ones: a file for efficientnet_lite0 and LPIPS, a
            folder or hub name for convnext.

    Raises ValueError for another name, a path where none is taken, or missing weights.
    """
    file = Path(path).expanduser() if path else None
    match name:
        case "efficientnet_lite0":
            return EffLitePerceptual(load_efficientnet_lite0(file))
        case "lpips_alex":
            return LPIPSPerceptual(load_lpips("alex", path=file))
        case "lpips_vgg":
            return LPIPSPerceptual(load_lpips("vgg", path=file))
        case "convnext":
            return logits_loss(name, path=path)
        case "none":
            require(path is None, f"perceptual loss 'none' takes no path: remove {path!r}")
            return NoPerceptualLoss()
    raise ValueError(
        f"perceptual loss {name!r}: choose efficientnet_lite0, lpips_alex, lpips_vgg, convnext or "
        "none"
    )


def logits_loss(name: str, *, path: str | None = None) -> LogitsDistance:
    """Return the distance of logits in the classifier called `name`.

    Args:
        name: "convnext", "resnet50" or "efficientnet_lite0".
        path: weights to use instead of the default ones: a file for efficientnet_lite0, a folder or
            hub name for the others.

    Raises ValueError for another name or missing weights.
    """
    if name == "efficientnet_lite0":
        return LogitsDistance(load_efficientnet_lite0(Path(path).expanduser() if path else None))
    require(
        name in HUB_CLASSIFIERS,
        f"logits of {name!r}: choose efficientnet_lite0 or {' or '.join(HUB_CLASSIFIERS)}",
    )
    return LogitsDistance(HubClassifier(name, path))
