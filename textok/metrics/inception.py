"""The Inception network of FID and sFID: the graph of 2015-12-05 with torch-fidelity's weights.

Legend: B images, h x w positions, c channels.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from einops import rearrange
from torch import Tensor

from textok.config.networks import Resizing
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.image import to_8bit
from textok.metrics.resizing import DESCRIPTIONS, resize

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
SIZE = 299
POOLED_WIDTH = 2048
SPATIAL_CHANNELS, SPATIAL_SIDE = 7, 17
SPATIAL_WIDTH = SPATIAL_CHANNELS * SPATIAL_SIDE**2
TRUNK = (
    "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 MaxPool_1 Conv2d_3b_1x1 Conv2d_4a_3x3 MaxPool_2 "
    "Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c"
).split()
"""What FID and sFID share, by torch-fidelity's names."""
HEAD = "Mixed_6d Mixed_6e Mixed_7a Mixed_7b Mixed_7c AvgPool".split()


class Inception:
    """Both kinds of features; what they share is computed once where a batch is asked for twice."""

    def __init__(self, network: Any, *, resizing: Resizing = "tensorflow") -> None:
        """``network`` has torch-fidelity's modules, frozen and in eval mode."""
        self.network = network
        self.resizing = resizing
        self._latest: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def pooled(self, images_B3HW: Tensor) -> Tensor:
        """pool_3: the last feature map averaged over positions, (B, 2048) float32."""
        x = self._trunk(images_B3HW)
        for name in HEAD:
            x = getattr(self.network, name)(x)
        return x.flatten(1)

    @torch.no_grad()
    def spatial(self, images_B3HW: Tensor) -> Tensor:
        """mixed_6/conv: seven channels at all positions, (B, 2023) float32 (arXiv 2103.03841).

        That tensor of the graph is the 1 x 1 branch of the third block at 17 x 17, after its ReLU:
        ``Mixed_6d.branch1x1``. Positions come before channels, as in the statistics that ADM
        publishes.
        """
        map_Bchw = self.network.Mixed_6d.branch1x1(self._trunk(images_B3HW))
        return rearrange(map_Bchw[:, :SPATIAL_CHANNELS], "b c h w -> b (h w c)")

    def logits(self, features_BF: Tensor) -> Tensor:
        """Of the pooled features, without the bias, as Inception Scores have them since 2016."""
        weight: Tensor = self.network.fc.weight
        return features_BF @ weight.to(features_BF).T

    def _trunk(self, images_B3HW: Tensor) -> Tensor:
        """Up to the block that sFID reads, (B, 768, 17, 17)."""
        if self._latest is None or self._latest[0] is not images_B3HW:
            # The graph has the range [-1, 1) of (x - 128) / 128.
            x = (resize(to_8bit(images_B3HW), SIZE, self.resizing) - 128) / 128
            for name in TRUNK:
                x = getattr(self.network, name)(x)
            self._latest = images_B3HW, x
        return self._latest[1]


def inception_features(inception: Inception) -> FeatureNetwork:
    """FID: the pooled features."""
    return FeatureNetwork(
        name="inception",
        metric="FID",
        width=POOLED_WIDTH,
        protocol=_protocol(inception, "pool3 features"),
        extract=inception.pooled,
        logits=inception.logits,
    )


def inception_spatial_features(inception: Inception) -> FeatureNetwork:
    """sFID: the spatial features."""
    layer = f"the first {SPATIAL_CHANNELS} channels of mixed_6/conv at all positions"
    return FeatureNetwork(
        name="inception_spatial",
        metric="sFID",
        width=SPATIAL_WIDTH,
        protocol=_protocol(inception, layer),
        extract=inception.spatial,
    )


def _protocol(inception: Inception, features: str) -> str:
    return (
        f"Inception-v3 (2015-12-05) as in torch-fidelity, {features}, 8-bit images resized to "
        f"{SIZE} px ({DESCRIPTIONS[inception.resizing]})"
    )


_opened: WeakValueDictionary[tuple[Path, str, Resizing], Inception] = WeakValueDictionary()


def load_inception(
    weights: Path | None,
    *,
    device: torch.device | str = "cpu",
    resizing: Resizing = "tensorflow",
) -> Inception:
    """The network with torch-fidelity's file of weights, shared by all that ask while one has it.

    Raises ValueError where the file or torch-fidelity is missing, or it holds anything else.
    """
    if weights is None or not weights.is_file():
        raise ValueError(
            f"Inception features read torch-fidelity's {WEIGHTS} from a local file, not from "
            f"'{weights}'"
        )
    key = (weights.resolve(), str(device), resizing)
    if (found := _opened.get(key)) is None:
        found = Inception(_open(weights).to(device), resizing=resizing)
        _opened[key] = found
    return found


def _open(weights: Path) -> Any:
    try:
        # torch-fidelity unpickles the file freely; what passes here holds nothing but tensors.
        torch.load(weights, map_location="cpu", weights_only=True)
    # A cut archive is almost any of these, an OSError without a file's name among them.
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        LookupError,
    ) as error:
        raise ValueError(f"{weights}: damaged, or not a file of plain weights") from error
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
        raise ValueError(
            f"Inception features need torch-fidelity: install textok[fid] ({error})"
        ) from error
    try:
        return FeatureExtractorInceptionV3(
            "inception-v3-compat",
            [str(POOLED_WIDTH)],
            feature_extractor_weights_path=str(weights),
        )
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{weights}: weights of another network than {WEIGHTS}") from error
