"""The Inception Score: images that a classifier is sure of, and of all classes together.

Legend: n images, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SPLITS = 10


@dataclass(frozen=True, kw_only=True)
class InceptionScore:
    """Mean and standard deviation over the splits."""

    mean: float
    std: float


def inception_score(logits_nC: Tensor, *, splits: int = SPLITS, seed: int = 0) -> InceptionScore:
    """exp(E_x KL(p(y|x) || p(y))) from logits (Salimans et al. 2016, arXiv 1606.03498, section 4).

    The images are dealt to the splits in an order drawn from ``seed``: classes that come in
    turn, or one after the other, do no harm. Raises ValueError for fewer images than splits.
    """
    if len(logits_nC) < splits:
        raise ValueError(f"an Inception Score over {splits} splits needs {splits} images or more")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(logits_nC), generator=generator).to(logits_nC.device)
    scores = []
    for split in range(splits):
        log_given = logits_nC[order[split::splits]].double().log_softmax(dim=1)
        log_mean = log_given.logsumexp(dim=0) - torch.tensor(len(log_given)).log()
        scores.append((log_given.exp() * (log_given - log_mean)).sum(dim=1).mean().exp())
    over_splits = torch.stack(scores)
    return InceptionScore(mean=float(over_splits.mean()), std=float(over_splits.std(correction=0)))
