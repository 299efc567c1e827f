"""Which pictures of a set are prepared, in which split and under which name."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from textok.config.data import DataConfig
from textok.data.captions import CAPTION_FIELDS
from textok.data.detect import find_entries, own_splits
from textok.data.folder import is_image
from textok.data.images import open_captioned_images
from textok.data.records import Record
from textok.data.report import ReadReport
from textok.runtime.counter import counter

SPLITS = ("test", "val", "train")
"""In a source with splits the picture in the first of these stays, of those with equal bytes."""
NAMES = {"validation": "val"}
LONGEST = 100
TAKEN = frozenset((*CAPTION_FIELDS, "file_name", "key", "label"))


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Of a set without splits of its own."""

    val: float
    test: float

    def split(self, key: str) -> str:
        """Drawn by the key alone: it stays so when pictures are added."""
        drawn = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
        if drawn < self.test:
            return "test"
        return "val" if drawn < self.test + self.val else "train"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture to prepare."""

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
        captions = list(self.record.captions)
        texts = {"caption": captions[0]} if len(captions) == 1 else {"captions": captions}
        label = {} if self.record.label is None else {"label": self.record.label}
        head = {"file_name": f"{self.name}.png", "key": self.record.key}
        return {**head, **(texts if captions else {}), **label, **self.fields}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All pictures, sorted by key in each split, and what was left out."""

    items: list[Item]
    duplicates: list[str]
    """Keys of pictures whose bytes another one has."""
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
    """Read the lists of ``data`` and the bytes of its pictures.

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
        return SPLITS.index(item.split) if splits else 0, item.record.key

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
    images = open_captioned_images(config, image_size=1)
    others = {(r.key, r.file, r.span): fields for r, fields in find_entries(config, ReadReport())}
    columns = {name.strip().casefold() for name in config.caption_columns}
    items = [
        Item(
            id=f"{config.split}/{record.key}" if config.split else record.key,
            split=NAMES.get(config.split, config.split) or shares.split(record.key),
            name="",
            record=record,
            fields=dict(_plain(others[record.key, record.file, record.span], columns)),
            sha256="",
        )
        for record in images.records
    ]
    return items, images.report


def _plain(fields: Mapping[str, object], columns: set[str]) -> Iterator[tuple[str, object]]:
    """Metadata that is no caption and has its place in a line of JSON."""
    for name, value in fields.items():
        several = value if isinstance(value, list) else [value]
        usable = all(isinstance(one, (str, int, float)) for one in several)
        known = name in TAKEN or name.strip().casefold() in (TAKEN | columns)
        if usable and several != [""] and not known:
            yield name, value


def _digest(item: Item) -> tuple[str, str]:
    try:
        return hashlib.sha256(item.record.read_bytes()).hexdigest(), ""
    except OSError as error:
        return "", str(error)


def file_names(keys: Sequence[str]) -> dict[str, str]:
    """A file name for each key: letters, digits, ``.``, ``_`` and ``-``, without the suffix.

    Keys whose names would be equal, also without case, or too long get a part of their hash.
    """
    plain = {key: _safe(key) for key in keys}
    counts = Counter(name.casefold() for name in plain.values())
    return {
        key: name
        if counts[name.casefold()] == 1 and len(name) <= LONGEST
        else f"{name[:LONGEST]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        for key, name in plain.items()
    }


def _safe(key: str) -> str:
    stem = key.rpartition(".")[0] if is_image(key) else key
    return re.sub(r"^[.-]", "_", re.sub(r"[^A-Za-z0-9._-]", "_", stem)) or "_"
