"""Whether images show their captions: retrieval by the probe, between a floor and a ceiling.

Legend: n images, F features, D embedding width, u wordings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from textok.config import TextConfig
from textok.evaluate.captions import derange
from textok.metrics.alignment import draw_candidates, fit_text_probe, retrieval_ranks
from textok.metrics.interval import Interval, mean_interval
from textok.runtime.counter import counter
from textok.text import open_features
from textok.text.folder import find_text_model
from textok.types import TextFeatures

CANDIDATES = 100
BATCH = 64
TEXT = TextConfig(encoder="minilm", max_tokens=64)

Embed = Callable[[Sequence[str]], Tensor]
"""Captions to unit embeddings (n, D)."""


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """Images with the caption of each."""

    features: Tensor
    """(n, F)."""
    captions: list[str]


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Share of images whose caption is the first, or among the first five, of the candidates."""

    at_1: Interval
    at_5: Interval


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Retrieval of the captions from generated images, and what it lies between."""

    candidates: int
    """Captions that each image chooses from."""
    drawn: Retrieval
    real: Retrieval
    """Of the real images that the captions belong to: the ceiling."""
    shuffled: Retrieval
    """Of the generated images, each with another's caption: the floor."""
    training_pairs: int
    """Pairs that the probe was fitted on."""
    strength: float
    """Its ridge penalty."""

    @property
    def position_1(self) -> float | None:
        """Where retrieval@1 lies between floor (0) and ceiling (1); None if they meet."""
        return _position(self.drawn.at_1, self.shuffled.at_1, self.real.at_1)

    @property
    def position_5(self) -> float | None:
        """Where retrieval@5 lies between floor (0) and ceiling (1); None if they meet."""
        return _position(self.drawn.at_5, self.shuffled.at_5, self.real.at_5)


def text_alignment(
    *, drawn: Captioned, real: Captioned, training: Captioned, embed: Embed, seed: int = 0
) -> Alignment:
    """Fit the probe on ``training``; let generated and real images find their captions.

    Each caption competes with 99 of other wording among the captions of ``real``, drawn once by
    ``seed``. Raises ValueError for too few training pairs or wordings.
    """
    wordings = sorted({*real.captions, *drawn.captions})
    if len(wordings) < 2:
        raise ValueError("text alignment needs images of two wordings or more")
    number = {caption: place for place, caption in enumerate(wordings)}
    probe = fit_text_probe(training.features, embed(training.captions))
    captions_uD = probe.place(embed(wordings))
    candidates = draw_candidates(len(wordings), CANDIDATES, seed=seed)

    def retrieval(features_nF: Tensor, captions: Sequence[str]) -> Retrieval:
        own = torch.tensor([number[caption] for caption in captions])
        ranks = retrieval_ranks(probe.predict(features_nF), own, captions_uD, candidates)
        return Retrieval(at_1=_share(ranks < 1), at_5=_share(ranks < 5))

    return Alignment(
        candidates=candidates.shape[1],
        drawn=retrieval(drawn.features, drawn.captions),
        real=retrieval(real.features, real.captions),
        shuffled=retrieval(drawn.features, derange(drawn.captions, seed=seed)),
        training_pairs=len(training.captions),
        strength=probe.strength,
    )


def caption_embedder(cache: Path | None, device: torch.device) -> Embed:
    """Mean states of MiniLM over the real tokens, to unit length; ``cache`` keeps the states.

    Raises ValueError where MiniLM is not installed.
    """
    find_text_model(TEXT.encoder)
    text = open_features(TEXT, folder=cache, device=device)

    def embed(captions: Sequence[str]) -> Tensor:
        distinct = sorted(set(captions), key=lambda caption: (len(caption), caption))
        parts = []
        with counter("captions", total=len(distinct)) as count:
            for start in range(0, len(distinct), BATCH):
                texts = distinct[start : start + BATCH]
                features = text(texts).to("cpu", torch.float32)
                parts.append(functional.normalize(mean_state(features), dim=1))
                count(len(texts))
        number = {caption: place for place, caption in enumerate(distinct)}
        return torch.cat(parts)[[number[caption] for caption in captions]]

    return embed


def mean_state(features: TextFeatures) -> Tensor:
    """The mean (B, D) of the states of each caption's real tokens; zero where it has none."""
    weight_BT1 = features.mask[..., None].to(features.states)
    return (features.states * weight_BT1).sum(dim=1) / weight_BT1.sum(dim=1).clamp(min=1)


def _share(hits_n: Tensor) -> Interval:
    return mean_interval(hits_n.double().tolist())


def _position(value: Interval, floor: Interval, ceiling: Interval) -> float | None:
    if ceiling.mean == floor.mean:
        return None
    return (value.mean - floor.mean) / (ceiling.mean - floor.mean)
