"""What may come of hostile input: a result or one line, soon, in bounded memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SECONDS, WAITING = 20, 600
"""Of the CPU for one example, a hundred times what it takes; and of the clock, for one that waits
for a file without end: the machine may be busy."""
MEMORY = 1_000
"""MiB of address space that the process may grow by in one example."""
LONGEST = 4_000
"""Characters of a message."""


class Endless(AssertionError):
    """An example took too long."""


def told(call: Callable[[], object]) -> str:
    """The line that ``call`` is refused with, or "" where it is done.

    Fails for any other exception than ValueError and an OSError that names its file, for more than
    one line, and for what takes too long or too much memory. The command line shortens long ones.
    """
    with in_bounds():
        try:
            call()
            return ""
        except (ValueError, OSError) as refusal:
            error = refusal
    line = str(error)
    named = getattr(error, "filename", None) is not None or line.startswith(("/", "checkpoint /"))
    assert named or not isinstance(error, OSError), line
    assert line.strip() and "\n" not in line and "\r" not in line, repr(line)
    return line


@contextmanager
def in_bounds() -> Iterator[None]:
    """MemoryError or ``Endless`` for a block that asks for too much."""

    def late(signum: int, frame: FrameType | None) -> None:
        raise Endless(f"more than {SECONDS} s, or {WAITING} s of waiting")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = [signal.signal(kind, late) for kind in (signal.SIGPROF, signal.SIGALRM)]
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY * 2**20, hard))
    try:  # two, as the alarm may come while the inner one ends
        try:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WAITING)
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for kind, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(kind, handler)
