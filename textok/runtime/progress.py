"""A bar on a terminal, a line now and then elsewhere: step, loss, images/s and time left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

COLUMNS = ("{task.completed:.0f}/{task.total:.0f}", "{task.fields[shown]}")


class RunProgress:
    """Counts steps of ``images_per_step`` images."""

    def __init__(self, *, first: int, steps: int, images_per_step: int) -> None:
        self._console = Console(stderr=True, force_jupyter=False)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            *map(TextColumn, COLUMNS),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=steps, completed=first, shown="")
        self._steps, self._images_per_step = steps, images_per_step
        self._marked = (first, time.monotonic())

    def start(self) -> None:
        self._bar.start()

    def stop(self) -> None:
        self._bar.stop()

    def advance(self) -> None:
        self._bar.advance(self._task)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time that passes inside."""
        began = time.monotonic()
        yield
        step, since = self._marked
        self._marked = (step, since + time.monotonic() - began)

    def report(self, step: int, values: Mapping[str, float]) -> float:
        """Show the state after ``step`` steps; returns the images/s since the last report."""
        before, since = self._marked
        now = time.monotonic()
        self._marked = (step, now)
        per_second = (step - before) / max(now - since, 1e-9)
        left = _clock((self._steps - step) / max(per_second, 1e-9))
        rate = per_second * self._images_per_step
        shown = f"loss {values['loss']:.4f}  {rate:.1f} images/s  {left} left"
        self._bar.update(self._task, shown=shown)
        if not self._console.is_terminal:
            self._console.print(f"step {step}/{self._steps}  {shown}", soft_wrap=True)
        return rate

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        self._console.print(message, soft_wrap=True, markup=False)


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"
