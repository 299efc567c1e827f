"""Waiting that ends: what takes too long is stopped with one line."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class _TooLong(Exception):
    pass


def with_timeout(items: Iterator[T], *, minutes: float, what: str) -> Iterator[T]:
    """The ``items``, each of which has to come within ``minutes``; 0 waits for ever.

    Raises ValueError, with ``what`` in it, for one that does not come, after ending the processes
    that this one started and that might be stuck. Outside the main thread, and on a system without
    alarms, nothing is timed.
    """
    if not minutes or not _can_be_woken():
        yield from items
        return
    before = signal.signal(signal.SIGALRM, _wake)
    try:
        while True:
            signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            yield item
    except _TooLong:
        _end_children()
        raise ValueError(f"{what} did not come within {minutes:g} minutes") from None
    finally:
        signal.signal(signal.SIGALRM, before)


def _can_be_woken() -> bool:
    main = threading.current_thread() is threading.main_thread()
    return main and hasattr(signal, "setitimer")


def _wake(signum: int, frame: FrameType | None) -> None:
    raise _TooLong


def _end_children() -> None:
    """Kill the loaders, which may neither answer nor heed a request to stop."""
    # The loader would report the dead ones in place of the error that is under way.
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for child in multiprocessing.active_children():
        child.kill()
        child.join(timeout=5)
    signal.signal(signal.SIGCHLD, before)
