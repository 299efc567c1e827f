"""What a network is trained for, apart from how a training step is taken.

Legend: B micro-batch, G = B x accumulation x processes, the global batch of one optimiser step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from textok.nn.codebook import Codebook
from textok.train.randomness import StepRandomness
from textok.types import Condition, LatentBatch, Latents, Reconstruction

Network = Callable[..., Any]
"""The forward pass of a network, in the precision of the run."""
Terms = dict[str, Tensor]
"""Scalars of one micro-batch, with their gradients; ``loss`` is what is minimised."""
Item = TypeVar("Item", contravariant=True)


@dataclass(frozen=True, kw_only=True)
class ImagePair:
    """What a discriminator learns to tell apart."""

    real: Tensor
    """(B, 3, H, W) originals."""
    fake: Tensor
    """(B, 3, H, W) their reconstructions."""
    last_layer: Tensor
    """The network's weights that made ``fake``."""


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """What went through a codebook."""

    codebook: Codebook
    pre_quant: Tensor
    """(X, C) vectors before quantisation."""
    codes: Tensor
    """(X,) int64 codes that they became."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One pass of a network over a micro-batch."""

    terms: Terms
    """The objective's own losses: ``loss``, and the scalars that are logged beside it."""
    images: ImagePair | None = None
    """Where the network makes images."""
    quantised: Quantised | None = None
    """Where the network has a codebook."""
    features: dict[str, Tensor] | None = None
    """(B, F) of the images by each network that a Frechet loss is measured in; no gradients."""

    def kept(self, *, images: bool) -> Outcome:
        """What is needed after the backward pass: no graph, and ``images`` only where needed."""
        pair = self.images if images else None
        return Outcome(
            terms={},
            images=None if pair is None else replace(pair, fake=pair.fake.detach()),
            quantised=self.quantised,
            features=self.features,
        )

    @classmethod
    def of(
        cls,
        out: Reconstruction,
        terms: Terms,
        *,
        real: Tensor,
        last_layer: Tensor,
        codebook: Codebook | None,
    ) -> Outcome:
        """That of an autoencoder's pass over the images ``real``."""
        images = quantised = None
        if out.images is not None:
            images = ImagePair(real=real, fake=out.images, last_layer=last_layer)
        if codebook is not None and out.latents.codes is not None and out.pre_quant is not None:
            pre_quant = out.pre_quant.detach().flatten(0, 1)
            codes = out.latents.codes.flatten()
            quantised = Quantised(codebook=codebook, pre_quant=pre_quant, codes=codes)
        return cls(terms=terms, images=images, quantised=quantised)


class TrainingObjective(Protocol[Item]):
    """How a network is run on a micro-batch, and the losses that follow from it."""

    def sample(self, step: int) -> StepRandomness:
        """What is random in ``step`` for all G rows, on the CPU."""

    def evaluate(
        self, network: Network, batch: Item, randomness: StepRandomness, step: int
    ) -> Outcome:
        """Run ``network`` on B rows; losses are float32 scalars.

        Their means over the micro-batches of a step do not depend on how G was split.
        """


class GeneratorObjective(TrainingObjective[LatentBatch], Protocol):
    """What a generator of latents is trained for, and how it is validated."""

    def validation_losses(
        self,
        network: Network,
        latents: Latents,
        condition: Condition,
        generator: torch.Generator,
    ) -> Terms:
        """Losses (B,) at several levels of corruption; ``generator`` advances with each batch."""
