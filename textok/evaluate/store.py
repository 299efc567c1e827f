"""Rows that take long to make, kept in pieces on disk: an interrupted evaluation goes on.

Several processes fill one store, each its share of the pieces; all of them see one folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from textok.runtime.counter import counter
from textok.runtime.files import atomic_write
from textok.runtime.processes import gather, join_processes
from textok.runtime.untrusted import regular_file

ROWS = "rows"


@dataclass(frozen=True, kw_only=True)
class Store:
    """``count`` rows of several kinds in pieces of ``size``."""

    folder: Path
    count: int
    size: int

    def fill(
        self, kind: str, fingerprint: str, make: Callable[[range], Tensor], *, what: str
    ) -> None:
        """Make the rows of a kind, a piece at a time; returns when all processes are done.

        Pieces of the same ``fingerprint`` that are there already are kept.
        """
        rank, world_size = join_processes()
        pieces = range(rank, self._pieces, world_size)
        missing = [piece for piece in pieces if not self._has(kind, piece, fingerprint)]
        done = sum(len(self._range(piece)) for piece in pieces if piece not in missing)
        left = sum(len(self._range(piece)) for piece in missing)
        self.folder.mkdir(parents=True, exist_ok=True)
        with counter(what, total=done + left, done=done, shown=rank == 0) as count:
            for piece in missing:
                rows = make(self._range(piece)).cpu().contiguous()
                assert len(rows) == len(self._range(piece))
                with atomic_write(self._path(kind, piece), shared=True) as temporary:
                    save_file({ROWS: rows}, temporary, {"fingerprint": fingerprint})
                count(len(rows))
        gather(rank)  # everyone waits for everyone

    def pieces(self, kind: str) -> Iterator[Tensor]:
        """The rows of a kind, a piece at a time and in order."""
        for piece in range(self._pieces):
            with safe_open(self._path(kind, piece), framework="pt") as stored:
                yield stored.get_tensor(ROWS)

    def all(self, kind: str) -> Tensor:
        """All rows of a kind."""
        return torch.cat(list(self.pieces(kind)))

    def rows(self, kind: str, places: Sequence[int]) -> Tensor:
        """The rows at ``places``."""
        found = []
        for place in places:
            with safe_open(self._path(kind, place // self.size), framework="pt") as stored:
                found.append(stored.get_slice(ROWS)[place % self.size])
        return torch.stack(found)

    @property
    def _pieces(self) -> int:
        return -(-self.count // self.size)

    def _range(self, piece: int) -> range:
        return range(piece * self.size, min((piece + 1) * self.size, self.count))

    def _path(self, kind: str, piece: int) -> Path:
        return self.folder / f"{kind}-{piece:05d}.safetensors"

    def _has(self, kind: str, piece: int, fingerprint: str) -> bool:
        try:
            with safe_open(regular_file(self._path(kind, piece)), framework="pt") as stored:
                metadata: dict[str, str] = stored.metadata() or {}
        except (OSError, ValueError, SafetensorError):
            return False  # not there, or damaged
        return metadata.get("fingerprint") == fingerprint
