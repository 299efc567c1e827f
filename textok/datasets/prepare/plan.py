"""Which images of a set are prepared, in which split and under which name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from textok.config.data import DataConfig
from textok.data.detect import own_splits
from textok.data.records import Record
from textok.data.report import ReadReport
from textok.datasets.described import facts, read_pictures
from textok.datasets.names import file_names
from textok.runtime.counter import counter

SPLITS = ("test", "val", "train")
"""In a source with splits the image in the first of these stays, of those with equal bytes."""
NAMES = {"validation": "val"}


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Of a set without splits of its own."""

    val: float
    test: float

    def split(self, key: str) -> str:
        """Drawn by the key alone: it stays so when images are added."""
        drawn = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
        if drawn < self.test:
            return "test"
        return "val" if drawn < self.test + self.val else "train"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image to prepare."""

    id: str
    """Its key, with the split before it where the source has splits."""
    split: str
    name: str
    """Of its file, without the suffix."""
    record: Record
    fields: Mapping[str, object]
    """Other metadata: scalars and lists of scalars."""
    sha256: str

    def row(self) -> dict[str, object]:
        """Its line in metadata.jsonl."""
        return {"file_name": f"{self.name}.png", **facts(self.record, self.fields)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All images, sorted by key in each split, and what was left out."""

    items: list[Item]
    duplicates: list[str]
    """Keys of images whose bytes another one has."""
    bad: dict[str, str]
    """Files that could not be read, and why."""
    reports: dict[str, ReadReport]
    """The reader's summary of each split of the source; ``""`` where it has none."""

    def digest(self) -> str:
        """SHA-256 of everything that the prepared set depends on, but for size and fit."""
        digest = hashlib.sha256()
        for item in self.items:
            line = [item.split, item.name, item.row(), item.sha256]
            digest.update(json.dumps(line, sort_keys=True).encode())
        return digest.hexdigest()


def plan(data: DataConfig, shares: Shares, *, workers: int, progress: bool) -> Plan:
    """Read the lists of ``data`` and the bytes of its images.

    Raises:
        ValueError: ``data`` cannot be read.
        BadFilesError: too many of its files are missing.
    """
    found: list[Item] = []
    reports = {}
    splits = own_splits(data)
    for own in splits or ("",):
        items, reports[own] = _of_split(replace(data, split=own), shares)
        found += items
    bad: dict[str, str] = {}
    digests = {}
    with (
        ThreadPoolExecutor(max(1, workers)) as pool,
        counter("reading", total=len(found), shown=progress) as advance,
    ):
        for item, (digest, problem) in zip(found, pool.map(_digest, found), strict=True):
            advance(1)
            if problem:
                bad[item.id] = problem
            else:
                digests[item.id] = digest
    kept, duplicates, seen = [], [], set[str]()

    def order(item: Item) -> tuple[int, str]:
        place = (*SPLITS, item.split).index(item.split)
        return place if splits else 0, item.record.key

    for item in sorted(found, key=order):
        digest = digests.get(item.id, "")
        if digest in seen:
            duplicates.append(item.id)
        elif digest:
            seen.add(digest)
            kept.append(replace(item, sha256=digest))
    names = file_names([item.record.key for item in kept])
    items = [replace(item, name=names[item.record.key]) for item in kept]
    return Plan(items=items, duplicates=duplicates, bad=bad, reports=reports)


def _of_split(config: DataConfig, shares: Shares) -> tuple[list[Item], ReadReport]:
    pictures, report = read_pictures(config)
    items = [
        Item(
            id=f"{config.split}/{record.key}" if config.split else record.key,
            split=NAMES.get(config.split, config.split) or shares.split(record.key),
            name="",
            record=record,
            fields=fields,
            sha256="",
        )
        for record, fields in pictures
    ]
    return items, report


def _digest(item: Item) -> tuple[str, str]:
    try:
        return hashlib.sha256(item.record.read_bytes()).hexdigest(), ""
    except OSError as error:
        return "", str(error)
