"""What a MaskGIT learns: the codes that are hidden, from those that are not.

Legend: B micro-batch, G global batch, K latent tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from textok.config import TrainMaskGITConfig
from textok.generator import MaskGIT
from textok.generator.maskgit import draw_mask, masked_loss
from textok.train.chance import MaskChance, draw_masking
from textok.train.lesson import Network
from textok.types import Condition, Latents

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of an image's codes that are hidden where the loss is measured."""


class Unmasking:
    """The cross-entropy of codes (Chang et al. 2022, arXiv 2202.04200, section 3.1)."""

    scale = None

    def __init__(self, config: TrainMaskGITConfig) -> None:
        self.config = config

    def new_generator(self) -> MaskGIT:
        return MaskGIT(self.config.generator)

    def draw(self, step: int) -> MaskChance:
        return draw_masking(self.config, step)

    def loss(
        self, network: Network, latents: Latents, condition: Condition, chance: MaskChance
    ) -> dict[str, Tensor]:
        """The ``loss``, and the ``accuracy`` on hidden codes: B's parts of the means over G."""
        codes = _codes(latents)
        logits = network(codes, chance.mask, condition.drop(chance.drop))
        return masked_loss(
            logits, codes, chance.mask, self.config.loss, hidden_share=chance.share[0]
        )

    def judge(
        self, network: Network, latents: Latents, condition: Condition, chance: torch.Generator
    ) -> dict[str, Tensor]:
        """``m0.1`` and so on: the cross-entropy of these shares of the codes, hidden in one order.

        It is not smoothed, and the codes that are seen do not count.
        """
        codes = _codes(latents)
        order = torch.rand(codes.shape, generator=chance)
        found = {}
        for level in LEVELS:
            mask = draw_mask(torch.full((len(codes),), level), order).to(codes.device)
            logits_BKV = network(codes, mask, condition)
            each_BK = F.cross_entropy(logits_BKV.transpose(1, 2), codes, reduction="none")
            found[f"m{level}"] = (each_BK * mask).sum(dim=1) / mask.sum(dim=1)
        return found


def _codes(latents: Latents) -> Tensor:
    assert latents.codes is not None
    return latents.codes
