"""What is done ahead of a step on images, and what waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
import torch

from textok.runtime.prefetch import prefetch
from textok.text import TextFeaturesSource
from textok.train.images import with_text
from textok.types import Batch, TextFeatures

CPU = torch.device("cpu")


class Noting(TextFeaturesSource):
    """Features that say which caption they are of; remembers who asked."""

    def __init__(self, *, prefetchable: bool) -> None:
        self.prefetchable = prefetchable
        self.threads: list[threading.Thread] = []

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        self.threads.append(threading.current_thread())
        states_BTD = torch.tensor([[[float(caption)]] for caption in captions])
        return TextFeatures(states=states_BTD, mask=torch.ones(len(captions), 1).bool())


def steps(count: int) -> Iterator[list[Batch]]:
    for step in range(count):
        yield [
            Batch(images=torch.zeros(1, 3, 2, 2), captions=[f"{step}{part}"], keys=["a"])
            for part in range(2)
        ]


def test_stored_features_are_read_with_the_images() -> None:
    text = Noting(prefetchable=True)
    made = prefetch(with_text(steps(3), text, CPU))
    found = [next(made) for _ in range(3)]
    values = [[one.text.states.item() for one in step if one.text is not None] for step in found]
    assert values == [[0, 1], [10, 11], [20, 21]]
    assert len(text.threads) == 6 and threading.main_thread() not in text.threads


@pytest.mark.parametrize("text", [None, Noting(prefetchable=False)])
def test_an_encoder_waits_for_the_step(text: Noting | None) -> None:
    made = prefetch(with_text(steps(2), text, CPU))
    assert [one.text for step in (next(made), next(made)) for one in step] == [None] * 4
    assert text is None or text.threads == []
