"""The main-process logger: scalars, progress and sheets of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from PIL import Image

from textok.config import RunConfig
from textok.runtime.files import atomic_write
from textok.runtime.progress import RunProgress
from textok.runtime.run_folder import RunFolder
from textok.runtime.run_log import RunLog
from textok.runtime.trackers import open_tracker

RATE = "images_per_second"


class RunLogger:
    """Logs a run that is resumed after ``first`` steps; does nothing unless ``enabled``."""

    def __init__(self, folder: RunFolder, config: RunConfig, first: int, *, enabled: bool) -> None:
        self._folder, self._enabled = folder, enabled
        if enabled:
            self._tracker = open_tracker(
                config.tracker, folder.root, project=config.project, step=first
            )
            self._log = RunLog(folder.root, step=first)
            self._progress = RunProgress(
                first=first, steps=config.steps, images_per_step=config.batch_size
            )

    def __enter__(self) -> RunLogger:
        if self._enabled:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._enabled:
            self._progress.stop()
            self._log.close()
            self._tracker.close()

    def advance(self) -> None:
        """Count one step."""
        if self._enabled:
            self._progress.advance()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time that is spent inside out of the images/s."""
        if not self._enabled:
            yield
            return
        with self._progress.paused():
            yield

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log the scalars of ``step`` and the images/s since the last time."""
        if self._enabled:
            values = {**values, RATE: self._progress.report(step, values)}
            values = {name: float(f"{value:.6g}") for name, value in values.items()}
            self._log.write(step, values)
            self._tracker.log(step, values)

    def show(self, step: int, sheet: Image.Image) -> None:
        """Store an image sheet."""
        if self._enabled:
            target = self._folder.sheets / f"step-{step:08d}.png"
            with atomic_write(target) as temporary:
                sheet.save(temporary, format="png")
            self._tracker.show(step, sheet)

    def say(self, message: str) -> None:
        """Print a line above the progress bar."""
        if self._enabled:
            self._progress.say(message)
