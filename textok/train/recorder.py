"""The main process's desk: log, progress and sheets of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from PIL import Image

from textok.config import RunConfig
from textok.runtime.progress import RunProgress
from textok.runtime.run_folder import RunFolder
from textok.runtime.run_log import RunLog

RATE = "images_per_second"


class Recorder:
    """Writes down what happens in a run that goes on from ``first`` steps."""

    def __init__(self, folder: RunFolder, config: RunConfig, first: int) -> None:
        self._folder = folder
        self._log = RunLog(folder.root, step=first, wandb=config.wandb)
        self._progress = RunProgress(
            first=first, steps=config.steps, images_per_step=config.batch_size
        )

    def __enter__(self) -> Recorder:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        self._log.close()

    def advance(self) -> None:
        """One step more."""
        self._progress.advance()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what is done inside out of the images/s."""
        with self._progress.paused():
            yield

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log the scalars of ``step`` and the images/s since the last time."""
        values = {**values, RATE: self._progress.report(step, values)}
        self._log.write(step, {name: float(f"{value:.6g}") for name, value in values.items()})

    def show(self, step: int, sheet: Image.Image) -> None:
        """Store a picture sheet."""
        target = self._folder.sheets / f"step-{step:08d}.png"
        writing = target.with_name(f".{target.name}")
        sheet.save(writing, format="png")
        os.replace(writing, target)

    def say(self, message: str) -> None:
        self._progress.say(message)
