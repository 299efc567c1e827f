"""How much of its caption an image shows, by a linear probe from image features to captions.

Offline stand-in for CLIP: image features are mapped to caption embeddings by ridge regression on
real pairs, and an image counts as right where its caption is the nearest of many.

Legend: n images, F features, D embedding width, u wordings, M candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

STRENGTHS = tuple(10.0**power for power in range(-3, 3))
"""Ridge penalties to choose from, for each pair and standardised feature."""
HELD_OUT = 5
"""Every fifth pair chooses the penalty; the probe is then fitted on all pairs."""


@dataclass(frozen=True, kw_only=True)
class TextProbe:
    """A linear map from image features to caption embeddings."""

    feature_mean: Tensor
    """(F,) float64."""
    feature_std: Tensor
    """(F,) float64."""
    text_mean: Tensor
    """(D,) float64."""
    weight: Tensor
    """(F, D) float64."""
    strength: float
    """The penalty chosen, one of ``STRENGTHS``."""

    def predict(self, features_nF: Tensor) -> Tensor:
        """Unit directions (n, D) in which the captions are expected, about their mean."""
        standard = (features_nF.double() - self.feature_mean) / self.feature_std
        return functional.normalize(standard @ self.weight, dim=1)

    def place(self, embeddings_uD: Tensor) -> Tensor:
        """Unit directions (u, D) in which captions lie, about their mean."""
        return functional.normalize(embeddings_uD.double() - self.text_mean, dim=1)


def fit_text_probe(features_nF: Tensor, embeddings_nD: Tensor) -> TextProbe:
    """Ridge regression on n pairs, its penalty the best on every fifth pair by mean cosine.

    Raises ValueError for fewer than 2 x ``HELD_OUT`` pairs.
    """
    count = len(features_nF)
    if count < 2 * HELD_OUT:
        raise ValueError(f"a text probe needs {2 * HELD_OUT} captioned images or more, not {count}")
    held_out = torch.arange(count) % HELD_OUT == HELD_OUT - 1
    tried = _ridge(features_nF[~held_out], embeddings_nD[~held_out], STRENGTHS)
    expected = [probe.place(embeddings_nD[held_out]) for probe in tried]
    cosines = [
        float((probe.predict(features_nF[held_out]) * place).sum(dim=1).mean())
        for probe, place in zip(tried, expected, strict=True)
    ]
    best = STRENGTHS[int(np.argmax(cosines))]
    return _ridge(features_nF, embeddings_nD, [best])[0]


def _ridge(
    features_nF: Tensor, embeddings_nD: Tensor, strengths: tuple[float, ...] | list[float]
) -> list[TextProbe]:
    """One probe a penalty, all from one eigendecomposition.

    With X the standardised features and Y the embeddings about their means, the weights are
    (X^T X + n penalty)^-1 X^T Y, which is X^T (X X^T + n penalty)^-1 Y: the smaller matrix is
    decomposed.
    """
    features, embeddings = features_nF.double(), embeddings_nD.double()
    mean, text_mean = features.mean(dim=0), embeddings.mean(dim=0)
    # A feature that never varies tells nothing: it is left at zero.
    std = features.std(dim=0, correction=0).clamp(min=1e-6)
    standard_nF = (features - mean) / std
    about_nD = (embeddings - text_mean) / len(features)
    if standard_nF.shape[0] < standard_nF.shape[1]:
        values, vectors = torch.linalg.eigh(standard_nF @ standard_nF.T / len(features))
        cross, back = vectors.T @ about_nD, standard_nF.T @ vectors
    else:
        values, vectors = torch.linalg.eigh(standard_nF.T @ standard_nF / len(features))
        cross, back = vectors.T @ (standard_nF.T @ about_nD), vectors
    return [
        TextProbe(
            feature_mean=mean,
            feature_std=std,
            text_mean=text_mean,
            weight=back @ (cross / (values[:, None].clamp(min=0) + strength)),
            strength=strength,
        )
        for strength in strengths
    ]


def draw_candidates(wordings: int, count: int, *, seed: int = 0) -> Tensor:
    """(u, M) int64: for each of ``wordings`` captions its own number, then M - 1 others.

    M is ``count``, or ``wordings`` where there are fewer.
    """
    generator = np.random.default_rng(seed)
    others = min(count, wordings) - 1
    rows = []
    for own in range(wordings):
        # Numbers from the own one on are moved up by one, so that it is never drawn.
        drawn = generator.choice(wordings - 1, others, replace=False)
        rows.append(np.concatenate([[own], drawn + (drawn >= own)]))
    return torch.from_numpy(np.stack(rows)).long()


def retrieval_ranks(
    predicted_nD: Tensor, own_n: Tensor, captions_uD: Tensor, candidates_uM: Tensor
) -> Tensor:
    """How many candidates are at least as near as the own caption of each image (n,), 0 best.

    ``own_n`` are numbers of captions. Ties count against the image: a prediction that does not
    tell captions apart is never right.
    """
    similarity_nu = predicted_nD @ captions_uD.T
    scores_nM = similarity_nu.gather(1, candidates_uM[own_n])
    return (scores_nM[:, 1:] >= scores_nM[:, :1]).sum(dim=1)
