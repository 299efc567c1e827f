from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from types import SimpleNamespace

import torch

from benchmarks.read_ahead import batches, clock
from benchmarks.training_steps import TrainingStep
from textok.runtime.prefetch import prefetch
from textok.types import Batch


def test_a_slow_loader_is_waited_for_once_where_it_reads_ahead() -> None:
    def slow(given: Sequence[Batch], number: int) -> dict[str, torch.Tensor]:
        time.sleep(0.1)
        return {"loss": torch.zeros(())}

    step = TrainingStep(task=SimpleNamespace(step=slow), given=[], number=0)
    alone = clock(step, batches(2, 4, 0.1), 3)
    ahead = clock(step, prefetch(batches(2, 4, 0.1)), 3)
    assert alone >= 0.2 and 0.1 <= ahead < alone


def test_batches_are_what_a_loader_gives() -> None:
    (first,) = next(islice(batches(2, 4, 0), 1, 2))
    assert first.images.shape == (2, 3, 4, 4) and first.images.dtype == torch.float32
    assert first.images.abs().max() <= 1 and len(first.keys) == 2
