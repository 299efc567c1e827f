"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

WRITING = ".writing-"
"""How the names of folders begin that are not whole yet."""

_UMASK = os.umask(0o022)
os.umask(_UMASK)  # there is no other way to ask


@contextmanager
def named_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Raise what the disk refuses as OSError that names ``path``, which is written by the block.

    ``temporary`` is the name that it has meanwhile, unless it is in a folder of ``WRITING``. A full
    disk is reported without any name by file objects, and as an error of their own by safetensors.
    """
    try:
        yield
    except SafetensorError as error:
        known = re.search(r"\(os error (\d+)\)", str(error))
        if known is None:
            raise OSError(f"{path}: cannot be written: {error}") from error
        raise _of(int(known[1]), path) from error
    except OSError as error:
        name = str(error.filename or temporary)
        if name != str(temporary) and f"{os.sep}{WRITING}" not in name:
            raise
        if error.errno is None:
            raise OSError(f"{path}: cannot be written: {error}") from error
        raise _of(error.errno, path) from error


def _of(number: int, path: Path) -> OSError:
    """The error of that number of the system, without temporary names that a library may tell."""
    return OSError(number, os.strerror(number), str(path))


@contextmanager
def atomic_write(path: Path, *, shared: bool = False, flush: bool = False) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it is moved there when the block ends.

    A block that raises leaves nothing behind. ``shared``: another process may write the same file.
    ``flush``: the bytes are on the disk before the file is seen. The file can be read by whom the
    umask says, whatever the writer made of it (safetensors: the user alone).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp" if shared else f".{path.name}.tmp")
    try:
        with named_errors(path, temporary):
            yield temporary
            apply_umask(temporary)
            if flush:
                sync(temporary)
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def apply_umask(path: Path) -> None:
    """Give a file the permissions of any other new file."""
    path.chmod(0o666 & ~_UMASK)


def write_text(path: Path, text: str, *, shared: bool = False, flush: bool = False) -> None:
    """Write ``text`` whole or not at all.

    Bytes of file names that are not UTF-8 are written out, as JSON and YAML read them back.
    """
    with atomic_write(path, shared=shared, flush=flush) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def require_writable(folder: Path) -> None:
    """Raise OSError where no file can be made in ``folder``, or the folder itself cannot be.

    Called before long work whose result goes there. Nothing is written.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{there} is a file: name a folder", str(folder))
    if not os.access(there, os.W_OK | os.X_OK):
        wrong = f"no permission to write into {there}: name another folder"
        raise PermissionError(errno.EACCES, wrong, str(folder))


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_folder(source: Path, target: Path) -> None:
    """Move the folder ``source`` to ``target``; a ``target`` that exists gives way first."""
    if target.exists():
        retired = target.with_name(f".retired-{target.name}")
        shutil.rmtree(retired, ignore_errors=True)
        os.replace(target, retired)
        os.replace(source, target)
        shutil.rmtree(retired, ignore_errors=True)
    else:
        os.replace(source, target)
    sync(target.parent)


def remove_folder(folder: Path) -> None:
    """Delete a folder so that it is never seen half deleted under its own name."""
    retired = folder.with_name(f".retired-{folder.name}")
    shutil.rmtree(retired, ignore_errors=True)
    os.replace(folder, retired)
    shutil.rmtree(retired, ignore_errors=True)


def discard_leftovers(folder: Path) -> None:
    """Delete what an interrupted process left half written or half deleted in ``folder``."""
    for pattern in (f"{WRITING}*", ".retired-*"):
        for leftover in folder.glob(pattern):
            shutil.rmtree(leftover, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 24):
            digest.update(chunk)
    return digest.hexdigest()
