"""One file of features: the real states of many captions, end to end, with their checksums."""

from __future__ import annotations

import hashlib
import uuid
import zlib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from textok.runtime.files import atomic_write
from textok.runtime.untrusted import regular_file
from textok.text.float8 import FLOAT8, from_float8, to_float8

SUFFIX, UNREAD = ".safetensors", "unread"


class DamagedShard(Exception):
    """A shard whose bytes are not those that were written."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path} is damaged: {reason}")
        self.path = path


def caption_key(caption: str) -> bytes:
    """The name of a caption in a shard: its SHA-1, 20 bytes."""
    return hashlib.sha1(caption.encode(), usedforsecurity=False).digest()


class FeatureShard:
    """Features of captions in one file, mapped into memory and read row by row.

    Tensors: ``states`` (sum of t, D), with ``float8`` also ``scales`` (sum of t,), ``ends`` (R,)
    where each caption's states end, ``keys`` (R, 20) uint8, ``checks`` (R,) CRC-32 of each
    caption's states and scales, ``unread`` (R,) 1 where a caption has words that the encoder cannot
    read, or without that 0. A row is checked when it is first read, so that opening a shard
    does not read its states.

    Raises:
        DamagedShard: the file is not such a shard of width ``width``, its states in ``dtype`` or
            in float8.
    """

    def __init__(self, path: Path, *, width: int, dtype: torch.dtype, float8: bool) -> None:
        self.path, self._dtype = path, dtype
        try:
            with safe_open(regular_file(path), "pt") as file:
                self._states = file.get_tensor("states")
                self._scales = file.get_tensor("scales") if float8 else None
                ends, checks, keys = (file.get_tensor(k) for k in ("ends", "checks", "keys"))
                self.cut = int(file.metadata()["cut"])
                told = UNREAD in file.keys()  # noqa: SIM118
                self.unread = file.get_tensor(UNREAD).tolist() if told else [0] * len(keys)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise DamagedShard(path, error) from error
        self._ends: list[int] = [0, *ends.tolist()]
        self._checks: list[int] = checks.tolist()
        self.keys = [key.tobytes() for key in keys.numpy()]
        total, rows = len(self._states), len(self.keys)
        if (
            self._states.shape != (total, width)
            or self._states.dtype != (FLOAT8 if float8 else dtype)
            or (self._scales is not None and self._scales.shape != (total,))
            or (len(self._checks), len(self._ends)) != (rows, rows + 1)
            or len(self.unread) != rows
            or self._ends != sorted(self._ends)
            or self._ends[-1] != total
        ):
            raise DamagedShard(path, "its parts do not fit together")
        self._read = bytearray(rows)

    def row(self, row: int) -> Tensor:
        """States (t, D) of one caption; a view of the file where it holds them as they are."""
        own = slice(self._ends[row], self._ends[row + 1])
        stored = [part[own] for part in (self._states, self._scales) if part is not None]
        if not self._read[row]:
            if _check(stored) != self._checks[row]:
                raise DamagedShard(self.path, f"the checksum of row {row} is wrong")
            self._read[row] = 1
        return stored[0] if self._scales is None else from_float8(*stored).to(self._dtype)


def write_shard(
    folder: Path,
    *,
    states: Mapping[bytes, Tensor],
    cut: int,
    unread: Set[bytes] = frozenset(),
    float8: bool = False,
) -> Path:
    """Write the (t, D) states of each key under a name no other writer uses, all or nothing.

    ``unread`` are the keys of captions with words that the encoder cannot read.
    """
    lengths = [len(rows) for rows in states.values()]
    tensors = {"states": torch.cat(list(states.values()))}
    if float8:
        tensors["states"], tensors["scales"] = to_float8(tensors["states"])
    rows = zip(*(part.split(lengths) for part in tensors.values()), strict=True)
    tensors |= {
        "ends": torch.tensor(lengths).cumsum(0),
        "checks": torch.tensor([_check(parts) for parts in rows]),
        UNREAD: torch.tensor([key in unread for key in states], dtype=torch.uint8),
        "keys": torch.frombuffer(bytearray(b"".join(states)), dtype=torch.uint8).reshape(-1, 20),
    }
    path = folder / (uuid.uuid4().hex + SUFFIX)
    try:
        with atomic_write(path, flush=True) as temporary:
            save_file(tensors, temporary, metadata={"cut": str(cut)})
    except (SafetensorError, OSError) as error:
        raise ValueError(f"text.cache: cannot write features to {folder}: {error}") from error
    return path


def _check(parts: Sequence[Tensor]) -> int:
    check = 0
    for part in parts:
        check = zlib.crc32(part.contiguous().view(torch.uint8).numpy().data, check)
    return check
