"""The note of which pretrained networks a model was trained against, for whoever judges it."""

from __future__ import annotations

from collections.abc import Iterable

from textok.config import LossConfig


def trained_with(loss: LossConfig, inherited: Iterable[str] = ()) -> tuple[str, ...]:
    """The losses by pretrained networks: those of weight above 0, and what its start has seen."""
    names = set(inherited)
    if loss.perceptual > 0:
        names.add(loss.perceptual_net)
    if loss.logits > 0:
        names.add(loss.logits_net)
    return tuple(sorted(names))
