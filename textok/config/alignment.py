"""Feature alignment: hidden states are drawn towards the features of a frozen image network."""

from __future__ import annotations

from dataclasses import dataclass

from textok.config.check import require, require_range
from textok.config.networks import INCEPTION, require_feature_network


@dataclass(frozen=True, kw_only=True)
class TokenizerAlignmentConfig:
    """VF loss (VA-VAE, arXiv 2501.01423, section 3.2) on the decoder's patch states."""

    weight: float = 0.0
    """Of the two terms together; 0 leaves them out. VA-VAE takes 0.1 with ``adaptive``."""
    adaptive: bool = False
    """Multiply ``weight`` by the ratio of the gradients of the other losses and of this one at the
    layer that makes the latents (VA-VAE), anew for each micro-batch."""
    network: str = "efficientnet_lite0"
    """The frozen network: ``efficientnet_lite0``, or the folder or hub name of a DINOv2, DINOv3,
    CLIP, SigLIP or ConvNeXt of transformers."""
    block: int = 0
    """Of the decoder, whose patch states are aligned, counted from 1; 0: after a third of them."""
    cosine_margin: float = 0.5
    """Cosines of state and feature of a patch count up to 1 less this (VA-VAE's m1)."""
    distance_margin: float = 0.25
    """Differences of the cosines between patches count from this on (VA-VAE's m2)."""

    def __post_init__(self) -> None:
        for name in ("weight", "block"):
            require_range(f"loss.alignment.{name}", getattr(self, name), 0)
        for name in ("cosine_margin", "distance_margin"):
            require_range(f"loss.alignment.{name}", getattr(self, name), 0, 2)
        if self.weight > 0:
            require_image_network("loss.alignment.network", self.network)
            require(
                self.network not in POOLED_ONLY,
                f"loss.alignment.network is '{self.network}', whose features are pooled over the "
                "image: use efficientnet_lite0 or a folder or hub name",
            )

    def block_of(self, depth: int) -> int:
        """The aligned block of a decoder's ``depth``. Raises ValueError for more than there are."""
        return aligned_block(self.block, depth, "loss.alignment.block")


@dataclass(frozen=True, kw_only=True)
class GeneratorAlignmentConfig:
    """REPA (arXiv 2410.06940) for K tokens without a grid: their mean state, a pooled feature."""

    weight: float = 0.0
    """Of 1 less the cosine; 0 leaves it out, REPA takes 0.5. The features come with the latents:
    `textok extract --features`."""
    block: int = 0
    """Whose states are aligned, counted from 1; 0: after a third of them, as REPA's B and L."""
    network: str = ""
    """Whose features the latents have; filled in."""

    def __post_init__(self) -> None:
        for name in ("weight", "block"):
            require_range(f"generator.alignment.{name}", getattr(self, name), 0)

    def block_of(self, depth: int) -> int:
        """The aligned block of a DiT's ``depth``. Raises ValueError for more than there are."""
        return aligned_block(self.block, depth, "generator.alignment.block")


POOLED_ONLY = ("vgg16", "alexnet")
"""Networks whose features have no place in the image."""


def require_image_network(setting: str, name: str) -> None:
    """Refuse a network that cannot be loaded by its name alone."""
    try:
        require_feature_network(name)
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None
    require(
        name not in INCEPTION,
        f"{setting} is '{name}', which reads a file of weights of its own: use efficientnet_lite0 "
        "or a folder or hub name",
    )


def aligned_block(asked: int, depth: int, setting: str) -> int:
    """``asked``, or the one after a third of ``depth``; ValueError for more than there are."""
    require(
        asked <= depth,
        f"{setting} is {asked}, there are {depth} blocks: set it to 1 to {depth}, or to 0",
    )
    return asked or max(1, depth // 3)
