"""What a tokenizer is trained for: pixels or, in the first of two stages, a VQGAN's codes."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from textok.losses.adversarial import adaptive_weight
from textok.losses.frechet import FrechetLoss
from textok.losses.reconstruction import ReconstructionLoss
from textok.pipeline import Reconstructor, decoding_seeds
from textok.text import TextFeaturesSource
from textok.tokenizer import FlowDraw, Tokenizer, kl_divergence
from textok.train.distillation import Distillation
from textok.train.feature_alignment import TokenizerAlignment
from textok.train.objective import Network, Outcome, Terms
from textok.train.randomness import RandomSource, StepRandomness, sample_for_tokenizer
from textok.types import Batch, Latents, Reconstruction, TextFeatures
from textok.vqgan import VQGAN


class TokenizerObjective:
    """Reconstruction, a weak KL divergence and, with a ``vqgan_teacher``, that VQGAN's codes.

    With ``alignment`` also the features of a frozen image network. ``text`` gives the features of
    captions; without it the tokenizer reads none. ``frechet`` judges all reconstructions together.
    ``distillation`` gives a flow decoder another's samples to learn in place of the images.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        loss: ReconstructionLoss,
        *,
        source: RandomSource,
        text: TextFeaturesSource | None = None,
        vqgan_teacher: VQGAN | None = None,
        alignment: TokenizerAlignment | None = None,
        frechet: FrechetLoss | None = None,
        distillation: Distillation | None = None,
    ) -> None:
        self._frechet, self._distillation = frechet, distillation
        self.tokenizer, self.loss, self._source = tokenizer, loss, source
        self._alignment = alignment
        self.text, self._teacher = text, vqgan_teacher

    def sample(self, step: int) -> StepRandomness:
        return sample_for_tokenizer(self._source, self.tokenizer, step)

    def evaluate(
        self, network: Network, batch: Batch, randomness: StepRandomness, step: int
    ) -> Outcome:
        """Losses of B images, and their reconstructions."""
        text, flow, target = self._features(batch, randomness), flow_draw(randomness), batch.images
        if self._distillation is not None:
            flow = self._distillation(batch.images, text, randomness)
            assert flow.target is not None
            target = flow.target.images
        out: Reconstruction = network(
            batch.images,
            text,
            noise_BKC=randomness.posterior,
            keep_B=randomness.keep,
            pixels=self.loss.weights.pixels,
            flow=flow,
            hidden_after=0 if self._alignment is None else self._alignment.block,
        )
        discrete = self.tokenizer.config.bottleneck == "vq"
        terms, features = self._losses(out, target, step), None
        if self._frechet is not None and out.images is not None:
            found = self._frechet(out.images)
            terms["frechet"], features = found.loss, found.features
            terms["loss"] = terms["loss"] + self.loss.weights.frechet.weight * found.loss
        outcome = Outcome.of(
            out,
            terms,
            real=batch.images,
            last_layer=self.tokenizer.last_layer,
            codebook=self.tokenizer.codebook if discrete else None,
        )
        return replace(outcome, features=features)

    def _features(self, batch: Batch, randomness: StepRandomness) -> TextFeatures | None:
        if self.text is None:
            return None
        features = self.text(batch.captions) if batch.text is None else batch.text
        return self._source.dropped(features.to(batch.images.device), randomness)

    def _losses(self, out: Reconstruction, real: Tensor, step: int) -> Terms:
        """Those of pixels and codebook, the KL divergence, and the VQGAN's codes (stage 1)."""
        terms, weights = self.loss(out, real, step), self.loss.weights
        if out.latents.logvar is not None:
            terms["kl"] = kl_divergence(out.latents).mean()
            terms["loss"] = terms["loss"] + weights.kl * terms["kl"]
        if self._teacher is not None and out.logits is not None:
            with torch.no_grad():
                codes = self._teacher.encode(real).codes
            assert codes is not None
            terms["codes"] = F.cross_entropy(rearrange(out.logits, "B N V -> B V N"), codes)
            terms["codes_right"] = (out.logits.argmax(-1) == codes).float().mean()
            terms["loss"] = terms["loss"] + weights.codes * terms["codes"]
        if self._alignment is not None and out.hidden is not None:
            self._add_alignment(terms, self._alignment(out.hidden, real))
        return terms

    def _add_alignment(self, terms: Terms, found: Terms) -> None:
        """Add the weighted alignment to the loss, and what it is to the logged terms."""
        settings = self.loss.weights.alignment
        weight: float | Tensor = settings.weight
        if settings.adaptive:
            layer = self.tokenizer.latent_layer
            weight = weight * adaptive_weight(terms["loss"], found["alignment"], layer)
            terms["alignment_weight"] = weight
        terms |= found
        terms["loss"] = terms["loss"] + weight * found["alignment"]


class TokenizerRoundTrip:
    """Validation batches through a tokenizer, as `textok evaluate reconstruction` takes them."""

    def __init__(self, text: TextFeaturesSource | None, *, device: torch.device) -> None:
        self._text, self._device = text, device

    def __call__(self, tokenizer: Tokenizer, batch: Batch) -> dict[str, Tensor]:
        """Images (B, 3, H, W), not clamped, with the captions and without; latents in 16 bits."""
        reconstructor = Reconstructor(tokenizer, text=self._text, device=self._device)

        def round_trip(captions: list[str] | None) -> Tensor:
            latents = reconstructor.encode(batch.images, captions)
            latents = Latents(mean=latents.mean.half().float(), codes=latents.codes)
            seeds = decoding_seeds(batch.keys)
            return reconstructor.decode_tensor(latents, captions, seeds=seeds)

        if self._text is None:
            return {"reconstruction": round_trip(None)}
        return {"with caption": round_trip(list(batch.captions)), "without": round_trip(None)}


def flow_draw(randomness: StepRandomness) -> FlowDraw | None:
    """What a flow decoder needs of it; None where another decoder is trained."""
    noise, time, drop_text = randomness.noise, randomness.time, randomness.drop_decoder_text
    if noise is None or time is None or drop_text is None:
        return None
    return FlowDraw(noise=noise, time=time, drop_text=drop_text)
