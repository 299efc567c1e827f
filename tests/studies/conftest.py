"""Reports with chosen numbers, and what the words of a step mean to the real command line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import tyro

from studies.steps import Step
from textok.cli.main import COMMANDS
from textok.cli.train import split_arguments, training_config
from textok.config import (
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
)
from textok.evaluate import GenerationReport
from textok.evaluate.generation_report import Scores
from textok.evaluate.text_alignment import Alignment, Retrieval
from textok.metrics.interval import Interval
from textok.metrics.precision_recall import PrecisionRecall

Report = Callable[..., GenerationReport]
SETTINGS: dict[str, type[Any]] = {
    "train tokenizer": TrainTokenizerConfig,
    "train vqgan": TrainVQGANConfig,
    "train generator": TrainGeneratorConfig,
    "train maskgit": TrainMaskGITConfig,
}


def read_words(command: tuple[str, ...]) -> tuple[str, Any]:
    """The name of the command, and its settings or the values of its parameters."""
    name = next(name for name in COMMANDS if " ".join(command).startswith(f"{name} "))
    rest = command[len(name.split()) :]
    if name.startswith("train "):
        return name, training_config(SETTINGS[name], *split_arguments(rest))
    function = COMMANDS[name]

    @functools.wraps(function)
    def bind(*places: Any, **options: Any) -> dict[str, Any]:
        return inspect.signature(function).bind(*places, **options).arguments

    return name, tyro.cli(bind, args=rest)


@pytest.fixture(scope="session")
def read() -> Callable[[Step], tuple[str, Any]]:
    """Name and settings of a step, or an exit where the command line does not take it."""
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
