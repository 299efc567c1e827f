"""A disk that is full at a chosen write, on any machine. Not a test module."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from safetensors import SafetensorError

MODES = frozenset("wax+")
NEW = ("os.mkdir", "os.rename")


class Disk:
    """Lets so many files and folders be made under ``root``, and refuses all after them.

    Python reports what it opens, makes and moves through an audit hook, which cannot be taken back
    but does nothing while ``room`` is None. Safetensors, which Python does not see, leaves half a
    file.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = str(root)
        self.room: int | None = None
        self.refused = 0
        real = safetensors.torch.serialize_file

        def serialize(tensors: Any, filename: Any, **more: Any) -> None:
            real(tensors, filename, **more)
            if not self._take(str(filename)):
                path = Path(filename)
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                raise SafetensorError(
                    "Error while serializing: I/O error: No space left on device (os error 28)"
                )

        patch.setattr(safetensors.torch, "serialize_file", serialize)
        sys.addaudithook(self._audit)

    @contextmanager
    def full_after(self, room: int) -> Iterator[None]:
        """Refuse all but the first ``room`` of what is made inside."""
        self.room, self.refused = room, 0
        try:
            yield
        finally:
            self.room = None

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.room is None:
            return
        made = event in NEW or (event == "open" and _writes(arguments[1], arguments[2]))
        if made and not self._take(_name(arguments[0])):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), _name(arguments[0]))

    def _take(self, name: str) -> bool:
        """Whether there is room for one more, of which there is then one less."""
        if self.room is None or not name.startswith(self.root):
            return True
        self.room -= 1
        self.refused += self.room < 0
        return self.room >= 0


@contextmanager
def short_files(size: int) -> Iterator[None]:
    """Cut every file that is written at ``size`` bytes, as the system does it; then all fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _writes(mode: Any, flags: Any) -> bool:
    if mode is None:
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return bool(MODES & set(mode))


def _name(path: Any) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
