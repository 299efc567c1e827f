"""A progress bar with rate and time left, for work that is counted in images or captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        digits = 0 if (task.speed or 0) >= 10 else 1
        shown = f"{task.speed:,.{digits}f}/s" if task.speed else ""
        return Text(shown, style="progress.data.speed")


class _NoteColumn(ProgressColumn):
    def __init__(self, note: Callable[[], str]) -> None:
        super().__init__()
        self._note = note

    def render(self, task: Task) -> Text:
        return Text(self._note())


@contextmanager
def counter(
    what: str,
    *,
    total: int,
    done: int = 0,
    shown: bool = True,
    note: Callable[[], str] = str,
) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr, and what ``note`` says at the time.

    The function it gives takes how many more are done.
    """
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), _RateColumn())
    later = (TimeRemainingColumn(), _NoteColumn(note))
    console = Console(stderr=True, force_jupyter=False)
    with Progress(*columns, *later, console=console, disable=not shown) as bar:
        task = bar.add_task("", total=total, completed=done)
        yield lambda more: bar.advance(task, more)
