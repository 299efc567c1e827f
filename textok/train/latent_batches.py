"""What a generator is trained on at each step: stored latents and the condition of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from textok.data.order import Order
from textok.latents import LatentSet
from textok.runtime.prefetch import prefetch
from textok.text import TextFeaturesSource
from textok.types import LatentBatch


def latent_batches(
    latents: LatentSet,
    text: TextFeaturesSource | None,
    *,
    order: Order,
    step: int,
    device: torch.device | str = "cpu",
) -> Iterator[Sequence[LatentBatch]]:
    """This process's micro-batches of ``step`` and all after it on ``device``, one step ahead.

    ``text`` gives the features of captions; without it the condition is the class. An encoder runs
    when it is the batch's turn, since it may have to wait for the other processes.
    """

    def read() -> Iterator[Sequence[LatentBatch]]:
        draws = order.micro_batches(step)
        while True:
            parts = [next(draws) for _ in range(order.accumulate)]
            yield [latents.batch([draw.image for draw in part]).to(device) for part in parts]

    def conditioned(batches: Sequence[LatentBatch]) -> Sequence[LatentBatch]:
        return [with_text(batch, text).to(device) for batch in batches]

    if text is not None and not text.prefetchable:
        return map(conditioned, prefetch(read()))
    return prefetch(map(conditioned, read()))


def with_text(batch: LatentBatch, text: TextFeaturesSource | None) -> LatentBatch:
    """The batch with the features of its captions, where the condition is a caption."""
    return batch if text is None else replace(batch, text=text(batch.captions))
