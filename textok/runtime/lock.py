"""One process at a time in a folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from typing import IO

from textok.runtime.files import named_errors

try:
    import fcntl
except ImportError:  # not on Windows, where a second process is not noticed
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


class FolderLock:
    """Held until :meth:`release`, or until the process ends however it ends.

    A lock of POSIX, not of BSD as ``filelock`` has: loader processes do not inherit it, so that a
    killed training can be resumed at once.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock of ``folder``, which exists.

        Raises ValueError, naming the holder, where another process has it.
        """
        self._file: IO[str] | None = None
        if fcntl is None:
            return
        file = (folder / LOCK).open("a+", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise ValueError(
                f"{folder} is in use by {holder}: wait for it to end, or choose another folder"
            ) from None
        except OSError:  # a file system without locks
            file.close()
            return
        try:
            with named_errors(folder / LOCK):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {gethostname()}\n")
                file.flush()
        except OSError:
            with suppress(OSError):  # closing tries to write it again
                file.close()
            raise
        self._file = file

    def release(self) -> None:
        """Let others in."""
        if self._file is not None:
            self._file.close()
            self._file = None
