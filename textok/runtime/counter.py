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
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def counter(
    what: str, *, total: int, done: int = 0, shown: bool = True
) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr; the function it gives takes how many more are done."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), _RateColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown) as bar:
        task = bar.add_task("", total=total, completed=done)
        yield lambda more: bar.advance(task, more)
