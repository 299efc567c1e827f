"""Alignment of a network's hidden states with the features of a frozen image network.

Legend: B images, N patches, K tokens, D width, F features.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from textok.config import TrainGeneratorConfig, TrainTokenizerConfig
from textok.config.alignment import TokenizerAlignmentConfig
from textok.config.check import require
from textok.losses.feature_alignment import (
    cosine_loss,
    marginal_cosine_loss,
    marginal_distance_loss,
)
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.features import load_feature_network
from textok.runtime.device import Precision, autocast, trained_in
from textok.train.distributed import Distributed
from textok.train.objective import Terms
from textok.train.projection import Projection


class TokenizerAlignment:
    """The VF loss of VA-VAE (arXiv 2501.01423, section 3.2) for latents without a grid.

    VA-VAE aligns the latents themselves. K tokens have no places, so this aligns what the decoder
    makes of them at the N patches, half-way to the pixels: the gradient reaches the encoder through
    the tokens alone, as in GigaTok (arXiv 2504.08736), which regularises 1-D tokenizers so.
    """

    def __init__(
        self,
        config: TokenizerAlignmentConfig,
        network: FeatureNetwork,
        projection: Projection,
        *,
        block: int,
        grid: int,
        precision: Precision,
    ) -> None:
        self.config, self.block, self.projection = config, block, projection
        self._network, self._grid, self._precision = network, grid, precision
        self.network_name = network.name

    def __call__(self, hidden_BND: Tensor, images_B3HW: Tensor) -> Terms:
        """``alignment``, the sum of the two terms that come with it; float32 scalars."""
        config, features_BNF = self.config, self.features(images_B3HW)
        states_BNF = self.projection(hidden_BND)
        cosine = marginal_cosine_loss(states_BNF, features_BNF, margin=config.cosine_margin)
        distance = marginal_distance_loss(states_BNF, features_BNF, margin=config.distance_margin)
        return {
            "alignment": cosine + distance,
            "alignment_cosine": cosine,
            "alignment_distance": distance,
        }

    @torch.no_grad()
    def features(self, images_B3HW: Tensor) -> Tensor:
        """(B, N, F) of the tokenizer's patches, row by row; the map is resized to their grid."""
        assert self._network.feature_map is not None
        with autocast(images_B3HW.device, self._precision):
            map_BFhw = self._network.feature_map(images_B3HW).float()
        return on_grid(map_BFhw, self._grid)


def on_grid(map_BFhw: Tensor, grid: int) -> Tensor:
    """A feature map at ``grid`` x ``grid`` places, bilinear, row by row: (B, grid^2, F)."""
    if map_BFhw.shape[-2:] != (grid, grid):
        map_BFhw = functional.interpolate(map_BFhw, (grid, grid), mode="bilinear", antialias=True)
    return rearrange(map_BFhw, "B F h w -> B (h w) F")


def open_tokenizer_alignment(
    config: TrainTokenizerConfig, distributed: Distributed
) -> TokenizerAlignment | None:
    """The alignment that ``loss.alignment`` asks for; None where its weight is 0.

    Built after all other networks, so that these start as without it. Raises ValueError where the
    frozen network cannot be loaded, or where its features have no places.
    """
    alignment, shape = config.loss.alignment, config.tokenizer
    if alignment.weight == 0:
        return None
    network = load_feature_network(alignment.network, device=distributed.device)
    require(
        network.feature_map is not None,
        f"loss.alignment.network '{alignment.network}' has no feature map: use efficientnet_lite0",
    )
    assert network.feature_map is not None
    blank = torch.zeros(1, 3, shape.image_size, shape.image_size, device=distributed.device)
    width = network.feature_map(blank).shape[1]
    projection = Projection(
        nn.Linear(shape.decoder.width, width),
        config.optim,
        steps=config.run.steps,
        distributed=distributed,
    )
    return TokenizerAlignment(
        alignment,
        network,
        projection,
        block=alignment.block_of(shape.decoder.depth),
        grid=shape.grid,
        precision=trained_in(distributed.device, config.run.precision),
    )


class GeneratorAlignment:
    """REPA (arXiv 2410.06940, section 3.2) for tokens without a grid.

    REPA aligns the state of each patch with the feature at its place. K tokens have no places, each
    may tell of the whole image, and training sees no pixels: so the mean of their K states is
    aligned with the one pooled feature of the image that is stored beside its latents.
    """

    def __init__(self, projection: Projection, *, weight: float, block: int) -> None:
        self.projection, self.weight, self.block = projection, weight, block

    def __call__(self, hidden_BKD: Tensor, features_BF: Tensor) -> Tensor:
        """1 less the cosine of projected mean state and feature, a float32 scalar."""
        return cosine_loss(self.projection(hidden_BKD.float().mean(dim=1)), features_BF)


def open_generator_alignment(
    config: TrainGeneratorConfig, width: int, distributed: Distributed
) -> GeneratorAlignment | None:
    """The alignment with features of ``width`` numbers; None where its weight is 0.

    The projection has three layers with SiLU between them, as REPA's.
    """
    shape, alignment = config.generator.network, config.generator.alignment
    if alignment.weight == 0:
        return None
    layers = nn.Sequential(
        nn.Linear(shape.width, width),
        nn.SiLU(),
        nn.Linear(width, width),
        nn.SiLU(),
        nn.Linear(width, width),
    )
    projection = Projection(layers, config.optim, steps=config.run.steps, distributed=distributed)
    return GeneratorAlignment(
        projection, weight=alignment.weight, block=alignment.block_of(shape.depth)
    )
