"""Files that somebody else made: regular ones of a bounded size, inside their folder."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from textok.config.check import require

M = TypeVar("M", bound=nn.Module)

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
SPARE = 64
"""Parameters that a network may have besides those that are saved."""


def regular_file(path: Path, *, most: int | None = None) -> Path:
    """``path``, if it is a file of at most ``most`` bytes.

    Raises ValueError for a folder, a pipe or a device, of which reading may never end, and
    FileNotFoundError where there is nothing.
    """
    found = path.stat()
    kind = KINDS.get(stat.S_IFMT(found.st_mode), "no file")
    require(stat.S_ISREG(found.st_mode), f"{path}: {kind}, where a file is needed")
    if most is not None:
        size = f"{found.st_size / 1e6:,.0f} MB, at most {most / 1e6:,.0f} MB are read"
        require(found.st_size <= most, f"{path}: {size}")
    return path


def model_file(path: Path, *, most: int | None = None) -> Path:
    """A file of a model's folder, as ``regular_file``; a link may not lead out of the folder.

    The hub's cache is made of links, from ``snapshots`` to the ``blobs`` beside it.
    """
    regular_file(path, most=most)
    if path.is_symlink():
        folder, target = path.parent.resolve(), path.resolve()
        blobs = target.parent
        cached = blobs.name == "blobs" and folder.is_relative_to(blobs.parent / "snapshots")
        require(
            cached or target.is_relative_to(folder),
            f"{path}: a link to {target}, outside the model's folder; put the file in its place",
        )
    return path


def draft(make: Callable[[], M], found: Mapping[str, Tensor], *, where: str) -> M:
    """The network on the meta device, where it takes no memory: to compare its sizes with a file's.

    Its weights take those of the file by ``load_state_dict(..., assign=True)``.

    Raises ValueError where its sizes are out of all proportion to the tensors ``found``.
    """
    too_large = f"{where} does not fit its config: the config asks for a much larger network"
    with _at_most(len(found) + SPARE, too_large):
        return on_meta(make, too_large)


def on_meta(make: Callable[[], M], too_large: str) -> M:
    """The network on the meta device. Raises ValueError, ``too_large``, for impossible sizes."""
    try:
        with torch.device("meta"), _Unfilled():
            return make()
    except (RuntimeError, OverflowError, MemoryError, TypeError) as error:
        line = " ".join(str(error).split())[:200]
        raise ValueError(f"{too_large} ({line})") from None


class _Unfilled(TorchFunctionMode):
    """Leaves out the random initial weights: torch imports its compiler to draw them on meta."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, nn.init.normal_):
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextmanager
def _at_most(count: int, message: str) -> Iterator[None]:
    """Raise ValueError once this thread has registered more than ``count`` parameters."""
    thread, seen = threading.get_ident(), 0

    def registered(*_: object) -> None:
        nonlocal seen
        if threading.get_ident() == thread:
            seen += 1
            require(seen <= 2 * count, message)

    handle = register_module_parameter_registration_hook(registered)
    try:
        yield
    finally:
        handle.remove()


def check_finite(state: Mapping[str, Tensor], *, where: str | Path) -> None:
    """Raise ValueError naming the first tensor with a NaN or an infinite number, and how many."""
    for key, value in state.items():
        # One pass without a copy; a sum that is finite has no such number in it.
        if value.is_floating_point() and not torch.isfinite(value.sum()):
            bad = int((~torch.isfinite(value)).sum())
            require(
                not bad,
                f"{where}: {key} has {bad:,} of {value.numel():,} numbers that are NaN or infinite;"
                " the training diverged or the file is damaged",
            )
