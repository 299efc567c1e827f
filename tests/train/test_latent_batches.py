"""What a generator is trained on at each step, and that it is prefetched."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from textok.data.order import Order
from textok.latents import open_latents
from textok.train.latent_batches import latent_batches, with_text
from textok.train.prefetch import prefetch
from textok.types import LatentBatch, Latents, TextFeatures


def test_one_item_is_made_while_the_one_before_it_is_in_use() -> None:
    made = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in itertools.count():
            made.release()
            yield number

    taken = prefetch(items())
    for number in range(3):
        assert next(taken) == number
        assert made.acquire(timeout=5)
    # The next one, which nobody has asked for yet, and no other.
    assert made.acquire(timeout=5)
    assert not made.acquire(timeout=0.05)


def test_what_the_thread_raises_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise OSError("the disk is gone")

    taken = prefetch(items())
    assert [next(taken), next(taken)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(taken)


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    taken = prefetch(itertools.count())
    assert next(taken) == 0 and threading.active_count() == before + 1
    taken.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_reads_the_same_rows_wherever_a_run_begins(latents: Path, accumulate: int) -> None:
    rows = open_latents(latents)
    order = Order(size=8, seed=0, global_batch=4, accumulate=accumulate, rank=0, world_size=1)
    steps = list(itertools.islice(latent_batches(rows, None, order=order, step=0), 4))
    assert [len(step) for step in steps] == [accumulate] * 4
    resumed = next(latent_batches(rows, None, order=order, step=3))
    for one, again in zip(steps[3], resumed, strict=True):
        assert torch.equal(one.latents.mean, again.latents.mean)
        assert torch.equal(one.condition.labels, again.condition.labels)
    # Two steps of four are one pass over the eight rows.
    read = torch.cat([part.latents.mean for step in steps[:2] for part in step])
    assert sorted(read.sum((1, 2)).tolist()) == sorted(
        rows.batch(range(8)).latents.mean.sum((1, 2)).tolist()
    )


def test_an_image_without_caption_or_class_has_the_null_condition() -> None:
    batch = LatentBatch(
        latents=Latents(mean=torch.zeros(2, 1, 1)),
        captions=["a cat", ""],
        keys=["0", "1"],
        labels=torch.tensor([3, -1]),
    )
    assert with_text(batch, None).condition.labels.tolist() == [3, -1]

    def text(captions: list[str]) -> TextFeatures:
        mask = torch.tensor([[bool(caption)] for caption in captions])
        return TextFeatures(states=torch.ones(2, 1, 4), mask=mask)

    condition = with_text(batch, text).condition
    assert condition.labels is None and condition.text.mask.tolist() == [[True], [False]]
