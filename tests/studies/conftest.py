"""Reports with chosen numbers, and what the words of a step mean to the real command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from studies.steps import Step
from textok.cli.main import command_of, settings_of
from textok.evaluate import GenerationReport
from textok.evaluate.generation_report import Scores
from textok.evaluate.text_alignment import Alignment, Retrieval
from textok.metrics.interval import Interval
from textok.metrics.precision_recall import PrecisionRecall

Report = Callable[..., GenerationReport]


@cache  # a study's tests read the same commands
def read_words(command: tuple[str, ...]) -> tuple[str, Any]:
    """The name of the command, and its settings."""
    found = command_of(command)
    assert found is not None
    name, _, rest = found
    return name, settings_of(name, rest)


@pytest.fixture(scope="session")
def read() -> Callable[[Step], tuple[str, Any]]:
    """Name and settings of a step; ValueError where the command line does not take it."""
    return lambda step: read_words(step.command)


@pytest.fixture(scope="session")
def report() -> Report:
    """A report with these numbers; without ``retrieval`` no text alignment was measured."""

    def make(
        frechet: float, *, retrieval: float | None = 0.25, precision: float = 0.5, **protocol: Any
    ) -> GenerationReport:
        def found(value: float) -> Retrieval:
            interval = Interval(mean=value, low=value, high=value)
            return Retrieval(at_1=interval, at_5=interval)

        alignment = None
        if retrieval is not None:
            alignment = Alignment(
                candidates=100,
                drawn=found(retrieval),
                real=found(0.75),
                shuffled=found(0.01),
                training_pairs=8000,
                strength=1.0,
            )
        same = {
            "split": "test",
            "where": "everything",
            "images": 956,
            "pictures": 160,
            "drawn by": "the first caption of each image",
            "feature network": "some network",
        }
        return GenerationReport(
            model="some/model",
            settings={},
            metric="FD-EffLite0",
            protocol=same | protocol,
            scores=Scores(
                pictures=160,
                frechet=frechet,
                manifold=PrecisionRecall(precision=precision, recall=0.125),
                alignment=alignment,
            ),
            warnings=["few"],
        )

    return make
