"""Masked generators over discrete tokens: the network, what it learns from, how it is sampled."""

from textok.generator.maskgit.loss import masked_loss
from textok.generator.maskgit.masking import draw_mask, mask_ratio
from textok.generator.maskgit.network import MaskGIT

__all__ = ["MaskGIT", "draw_mask", "mask_ratio", "masked_loss"]
