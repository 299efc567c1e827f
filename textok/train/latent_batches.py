"""What a generator is trained on at each step: stored latents and the condition of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from textok.data.order import Order
from textok.latents import LatentSet
from textok.text import FrozenTextEncoder
from textok.train.prefetch import prefetch
from textok.types import LatentBatch, TextFeatures

TextReader = Callable[[Sequence[str]], TextFeatures]


def latent_batches(
    latents: LatentSet, text: TextReader | None, *, order: Order, step: int
) -> Iterator[Sequence[LatentBatch]]:
    """This process's micro-batches of ``step`` and all after it, read one step ahead.

    ``text`` gives the features of captions; without it the condition is the class. An encoder runs
    when it is the batch's turn, since it may have to wait for the other processes.
    """

    def read() -> Iterator[Sequence[LatentBatch]]:
        draws = order.micro_batches(step)
        while True:
            parts = [next(draws) for _ in range(order.accumulate)]
            yield [latents.batch([draw.image for draw in part]) for part in parts]

    def conditioned(batches: Sequence[LatentBatch]) -> Sequence[LatentBatch]:
        return [with_text(batch, text) for batch in batches]

    if isinstance(text, FrozenTextEncoder):
        return map(conditioned, prefetch(read()))
    return prefetch(map(conditioned, read()))


def with_text(batch: LatentBatch, text: TextReader | None) -> LatentBatch:
    """The batch with the features of its captions, where the condition is a caption."""
    return batch if text is None else replace(batch, text=text(batch.captions))
