"""Which errors are a user's mistakes, and the one line that each is told in."""

from __future__ import annotations

import errno

from textok.config.check import one_line
from textok.config.read import MOST_SHOWN

NO_HOME = "Could not determine home directory"
"""What pathlib says of such a path, without the path."""


def told_of_mistake(error: Exception) -> str | None:
    """What is told of a user's mistake; None of any other error."""
    if _is_too_large(error):
        first = str(error).partition("\n")[0] or type(error).__name__
        return f"out of memory: ask for less at once, as a smaller batch size ({first})"
    if isinstance(error, RuntimeError) and NO_HOME in str(error):
        return "a path begins with ~ and the name of no user: write its folder out"
    if not isinstance(error, (ValueError, OSError)):
        return None
    if isinstance(error, OSError) and error.filename is not None:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        room = "; make room and run the same command again" if full else ""
        return one_line(f"{error.filename}: {error.strerror}{room}")
    if isinstance(error, UnicodeEncodeError):
        text = error.object.encode("utf-8", "backslashreplace").decode()[:MOST_SHOWN]
        return one_line(f"'{' '.join(text.split())}' is no text in UTF-8: rename it")
    return one_line(" ".join(str(error).split()))


def _is_too_large(error: Exception) -> bool:
    """Whether memory did not suffice, that of this machine or of a GPU (torch's error)."""
    of_torch = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and of_torch)
