"""``textok train maskgit``: a masked generator on the codes of stored latents.

Legend: B micro-batch, G global batch, K latent tokens.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from textok.config import MaskedLossConfig, TrainMaskGITConfig
from textok.config.check import require
from textok.generator import MaskGIT
from textok.generator.maskgit import draw_mask, masked_loss
from textok.latents import LatentIndex
from textok.train.objective import Network, Outcome, Terms
from textok.train.on_latents import (
    fit_shape,
    open_both,
    random_source,
    train_on_latents,
    training_index,
)
from textok.train.randomness import RandomSource, StepRandomness, sample_for_masking
from textok.types import Condition, LatentBatch, Latents

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of an image's codes that are masked in the validation losses."""


class MaskedPrediction:
    """The cross-entropy of codes (Chang et al. 2022, arXiv 2202.04200, section 3.1)."""

    def __init__(self, loss: MaskedLossConfig, *, num_tokens: int, source: RandomSource) -> None:
        self._loss, self._num_tokens, self._source = loss, num_tokens, source

    def sample(self, step: int) -> StepRandomness:
        return sample_for_masking(self._source, step, num_tokens=self._num_tokens)

    def evaluate(
        self, network: Network, batch: LatentBatch, randomness: StepRandomness, step: int
    ) -> Outcome:
        """The ``loss``, and the ``accuracy`` on masked codes: B's parts of the means over G."""
        mask, share = randomness.mask, randomness.hidden_share
        assert mask is not None and share is not None
        codes = _codes(batch.latents)
        logits = network(codes, mask, self._source.dropped(batch.condition, randomness))
        return Outcome(terms=masked_loss(logits, codes, mask, self._loss, hidden_share=share[0]))

    def validation_losses(
        self, network: Network, latents: Latents, condition: Condition, generator: torch.Generator
    ) -> Terms:
        """``m0.1`` and so on: cross-entropies (B,) with these shares of the codes masked.

        Without label smoothing, over the masked codes alone; which are masked first is the same.
        """
        codes = _codes(latents)
        order = torch.rand(codes.shape, generator=generator)
        losses = {}
        for level in LEVELS:
            mask = draw_mask(torch.full((len(codes),), level), order).to(codes.device)
            logits_BKV = network(codes, mask, condition)
            each_BK = F.cross_entropy(logits_BKV.transpose(1, 2), codes, reduction="none")
            losses[f"m{level}"] = (each_BK * mask).sum(dim=1) / mask.sum(dim=1)
        return losses


def train_maskgit(config: TrainMaskGITConfig) -> Path:
    """Train a MaskGIT on stored codes, or resume its training, in the folder ``run.out``.

    All that ``train_generator`` does for a DiT, on the latents of a tokenizer with a codebook.
    Returns the folder.

    Raises ValueError for settings that contradict each other, or that the interrupted run did not
    have.
    """
    config = fitted(config, training_index(config))
    objective = MaskedPrediction(
        config.loss, num_tokens=config.generator.num_tokens, source=random_source(config)
    )
    return train_on_latents(
        config,
        lambda: open_both(config),
        lambda: MaskGIT(config.generator),
        lambda *_: (objective, None),
    )


def fitted(config: TrainMaskGITConfig, index: LatentIndex) -> TrainMaskGITConfig:
    """The settings with those that follow from the latents filled in.

    Raises ValueError where a setting contradicts the latents, and for latents without codes.
    """
    size = index.codebook_size
    require(
        size > 0,
        f"{config.latents.path}: latents of a continuous tokenizer; `textok train generator` "
        "trains on them, or use a tokenizer with bottleneck vq",
    )
    shape = fit_shape(config.generator, config, index, codebook_size=size)
    return replace(config, generator=shape)


def _codes(latents: Latents) -> Tensor:
    assert latents.codes is not None
    return latents.codes
