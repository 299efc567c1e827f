"""What a generator reads at each step: latents, and what they were made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Queue
from threading import Thread
from typing import TypeVar

from accelerate import Accelerator

from textok.config import RunConfig
from textok.data.order import Order
from textok.latents import LatentSet
from textok.text import TextFeaturesSource
from textok.types import Condition, LatentBatch, Latents

Item = TypeVar("Item")

SECONDS_TO_END = 5
"""How long the last item, which nobody wants any more, is waited for."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """One micro-batch, on the CPU but for what an encoder has just said."""

    latents: Latents
    """As the tokenizer gave them, not normalised."""
    condition: Condition


def examples_from(
    run: RunConfig,
    latents: LatentSet,
    text: TextFeaturesSource | None,
    accelerator: Accelerator,
    step: int,
) -> Iterator[Sequence[Examples]]:
    """This process's micro-batches of ``step`` and all after it, read one step ahead.

    ``text`` gives the features of captions; without it the condition is the class. An encoder is
    asked when it is the batch's turn, since it may wait for the other processes.
    """
    order = Order(
        size=len(latents),
        seed=run.seed,
        global_batch=run.batch_size,
        accumulate=run.accumulate,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )

    def read() -> Iterator[Sequence[LatentBatch]]:
        draws = order.micro_batches(step)
        while True:
            parts = [next(draws) for _ in range(order.accumulate)]
            yield [latents.batch([draw.image for draw in part]) for part in parts]

    def examples(batches: Sequence[LatentBatch]) -> Sequence[Examples]:
        return [
            Examples(latents=batch.latents, condition=condition_of(batch, text))
            for batch in batches
        ]

    if text is not None and not text.prefetchable:
        return map(examples, ahead(read()))
    return ahead(map(examples, read()))


def condition_of(batch: LatentBatch, text: TextFeaturesSource | None) -> Condition:
    """What the latents of a batch were made of: their captions, or their classes without ``text``.

    An image without a caption or a class asks for nothing in particular.
    """
    if text is not None:
        return Condition(text=text(batch.captions))
    assert batch.labels is not None
    return Condition(labels=batch.labels)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The endless ``items``, each made by a thread while the one before it is in use.

    What the thread raises is raised here, in its place. One that hangs does not hold up the end of
    the program.
    """
    wanted: Queue[bool] = Queue()
    made: Queue[Item | BaseException] = Queue()

    def make() -> None:
        while wanted.get():
            try:
                made.put(next(items))
            except BaseException as error:
                made.put(error)

    thread = Thread(target=make, daemon=True)
    thread.start()
    wanted.put(True)
    try:
        while True:
            item = made.get()
            if isinstance(item, BaseException):
                raise item
            wanted.put(True)
            yield item
    finally:
        wanted.put(False)
        thread.join(timeout=SECONDS_TO_END)
