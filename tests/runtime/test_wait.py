from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Iterator

import pytest
from torch.utils.data import DataLoader, Dataset

from textok.runtime.wait import with_timeout

SOON = 0.5 / 60
"""Minutes."""


class Stuck(Dataset[int]):
    """Its third item does not come."""

    def __getitem__(self, index: int) -> int:
        if index == 2:
            time.sleep(600)
        return index

    def __len__(self) -> int:
        return 4


def slowly(*seconds: float) -> Iterator[int]:
    for number, pause in enumerate(seconds):
        time.sleep(pause)
        yield number


def test_what_comes_in_time_is_passed_on_however_long_it_is_used() -> None:
    given = []
    for number in with_timeout(slowly(0, 0, 0), minutes=0.2 / 60, what="it"):
        time.sleep(0.3)
        given.append(number)
    assert given == [0, 1, 2]


def test_what_does_not_come_is_named() -> None:
    items = with_timeout(slowly(0, 30), minutes=SOON, what="the next batch")
    assert next(items) == 0
    with pytest.raises(ValueError, match=r"^the next batch did not come within 0\.008"):
        next(items)


def test_zero_waits_for_ever() -> None:
    assert list(with_timeout(slowly(0, 0.1), minutes=0, what="it")) == [0, 1]


def test_errors_pass_and_nothing_rings_afterwards() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        list(with_timeout(broken(), minutes=0.1 / 60, what="it"))
    items = with_timeout(itertools.count(), minutes=0.1 / 60, what="it")
    assert next(items) == 0
    items.close()
    time.sleep(0.2)


def test_a_loader_process_that_hangs_is_ended() -> None:
    loader = DataLoader(Stuck(), batch_size=1, num_workers=1)
    with pytest.raises(ValueError, match="the next batch did not come"):
        list(with_timeout(iter(loader), minutes=3 / 60, what="the next batch"))
    assert multiprocessing.active_children() == []
