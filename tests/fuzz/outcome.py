"""What may come of hostile input: a result or one line, soon, in bounded memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 20
"""For one example: a hundred times what it takes, as the machine may be busy."""
MEMORY = 1_500
"""MB that the process may grow by in one example."""
LONGEST = 4_000
"""Characters of a message."""


class Endless(AssertionError):
    """An example took too long."""


def told(call: Callable[[], object]) -> str:
    """The line that ``call`` is refused with, or "" where it is done.

    Fails for any other exception than ValueError and an OSError that names its file, for more than
    one line, and for what takes too long or too much memory.
    """
    with in_bounds():
        try:
            call()
        except ValueError as error:
            line = str(error)
        except OSError as error:
            line = str(error)
            assert error.filename is not None or line.startswith(("/", "checkpoint /")), error
        else:
            return ""
    assert line.strip() and "\n" not in line and "\r" not in line, repr(line)
    assert len(line) <= LONGEST, f"{len(line)} characters: {line[:200]}"
    return line


@contextmanager
def in_bounds() -> Iterator[None]:
    def late(signum: int, frame: FrameType | None) -> None:
        raise Endless(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    peak = _peak()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert _peak() - peak < MEMORY, f"{_peak() - peak:.0f} MB"


def _peak() -> float:
    """MB that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
