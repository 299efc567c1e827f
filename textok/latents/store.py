"""A split of latents at random access, as a generator's training reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from textok.config.check import require
from textok.latents.index import AGAIN, LatentIndex, read_index
from textok.latents.scale import LatentScale
from textok.latents.shard import LatentRow, LatentShard, open_shard, shard_path
from textok.types import LatentBatch, Latents


@dataclass(frozen=True, kw_only=True)
class LatentSet:
    """Every (image, caption) of a split, in a fixed order; the numbers stay on the disk."""

    index: LatentIndex
    shards: list[LatentShard]
    rows: list[LatentRow]
    """What each row was made of."""
    reads_features: bool = False
    """Whether batches come with the features of their images."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def scale(self) -> LatentScale:
        """Of the tokens that there are; measured where the index tells of more."""
        count = self.index.num_tokens
        if count == self.shards[0].latents.mean.shape[1]:
            return self.index.scale
        return LatentScale.measured(shard.latents.first(count) for shard in self.shards)

    def batch(self, rows: Sequence[int]) -> LatentBatch:
        """Rows by their numbers, in the order given: float32, codes int64."""
        asked_B = torch.as_tensor(rows, dtype=torch.int64)
        assert int(asked_B.min()) >= 0 and int(asked_B.max()) < len(self)
        found = [self.rows[row] for row in asked_B.tolist()]
        labels = [self._numbers.get(row.label, -1) for row in found]
        return LatentBatch(
            latents=self._read(asked_B),
            captions=[row.caption for row in found],
            keys=[row.key for row in found],
            labels=torch.tensor(labels) if self.index.classes else None,
            features=self._read_features(asked_B) if self.reads_features else None,
        )

    def first(self, num_tokens: int) -> LatentSet:
        """The same rows with their first tokens. Raises ValueError for more than there are."""
        return replace(self, index=self.index.first(num_tokens))

    def with_features(self) -> LatentSet:
        """The same rows with the features of their images, which there have to be."""
        assert self.index.feature_width > 0, "extracted without features"
        return replace(self, reads_features=True)

    def captions(self) -> list[str]:
        """The caption of each row; empty where there was none."""
        return [row.caption for row in self.rows]

    def class_captions(self) -> dict[str, list[str]]:
        """The distinct captions of each class that has any, sorted."""
        found: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            if row.label is not None and row.caption:
                found[row.label].add(row.caption)
        return {name: sorted(found[name]) for name in self.index.classes if name in found}

    def _read(self, rows_B: Tensor) -> Latents:
        shards_B = torch.bucketize(rows_B, self._ends, right=True)
        first = self.shards[0].latents
        shape = (len(rows_B), *first.mean.shape[1:])
        mean = torch.empty(shape)
        logvar = None if first.logvar is None else torch.empty(shape)
        codes = None if first.codes is None else torch.empty(shape[:2], dtype=torch.int64)
        for number in shards_B.unique().tolist():
            of_B = shards_B == number
            start = int(self._ends[number]) - len(self.shards[number])
            part = self.shards[number].latents[rows_B[of_B] - start]
            mean[of_B] = part.mean.float()
            if logvar is not None and part.logvar is not None:
                logvar[of_B] = part.logvar.float()
            if codes is not None and part.codes is not None:
                codes[of_B] = part.codes.long()
        return Latents(mean=mean, logvar=logvar, codes=codes).first(self.index.num_tokens)

    def _read_features(self, rows_B: Tensor) -> Tensor:
        shards_B = torch.bucketize(rows_B, self._ends, right=True)
        read = torch.empty(len(rows_B), self.index.feature_width)
        for number in shards_B.unique().tolist():
            shard, of_B = self.shards[number], shards_B == number
            assert shard.features is not None
            start = int(self._ends[number]) - len(shard)
            read[of_B] = shard.features[rows_B[of_B] - start].float()
        return read

    @cached_property
    def _ends(self) -> Tensor:
        """(number of shards,): the row after the last one of each."""
        return torch.tensor(self.index.shards).cumsum(0)

    @cached_property
    def _numbers(self) -> dict[str | None, int]:
        return {name: place for place, name in enumerate(self.index.classes)}


def open_latents(folder: Path, split: str = "train", *, verify: bool = True) -> LatentSet:
    """The latents that ``textok extract`` wrote to ``folder``; ``verify`` reads all of them once.

    Raises ValueError, one line, for a split that is missing, incomplete or damaged.
    """
    index = read_index(folder / split)
    paths = [shard_path(folder / split, number) for number in range(len(index.shards))]
    try:
        shards = [open_shard(path, verify=verify) for path in paths]
        for path, shard, count in zip(paths, shards, index.shards, strict=True):
            expected, found = (count, index.num_tokens, index.channels), shard.latents.mean.shape
            if tuple(found) != expected:
                raise ValueError(f"{path}: is {tuple(found)}, the index says {expected}")
            _check_codes(path, shard.latents.codes, index.codebook_size)
            width = 0 if shard.features is None else shard.features.values.shape[1]
            if width != index.feature_width:
                raise ValueError(
                    f"{path}: has {width} features an image, the index says {index.feature_width}"
                )
        rows = [row for shard in shards for row in shard.rows()]
    except (OSError, ValueError) as error:
        raise ValueError(f"{error}: delete that shard and {AGAIN}") from None
    require(bool(rows), f"{folder / split} has no rows of latents")
    return LatentSet(index=index, shards=shards, rows=rows)


def _check_codes(path: Path, codes: Tensor | None, size: int) -> None:
    """Raise ValueError unless ``codes`` are in [0, size), or are none where size is 0.

    All of them are read: one that there is not would fail deep inside a training.
    """
    if (codes is None) != (size == 0):
        holds = "no codes" if codes is None else "codes"
        raise ValueError(f"{path}: holds {holds}, codebook_size of the index is {size}")
    if codes is not None and codes.numel():
        low, high = (int(bound) for bound in codes.aminmax())
        if low < 0 or high >= size:
            raise ValueError(f"{path}: holds codes from {low} to {high}, there are 0 to {size - 1}")
