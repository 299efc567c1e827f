"""The index of a tar shard: where its images lie and what its texts say, cached on disk."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from textok.data.records import IMAGE_SUFFIXES, clean_captions, field_captions
from textok.runtime.files import write_text

VERSION = 2
IMAGE = "image"
PARTS = (IMAGE, ".txt", ".json", ".cls")

Span = tuple[int, int]
"""Offset and length in bytes."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One sample of a shard; ``span`` is None where it has no image."""

    key: str
    span: Span | None
    captions: tuple[str, ...]
    label: str | None
    fields: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class TarIndex:
    """All samples of a shard in their order; not ``complete`` where the file ends too early."""

    complete: bool
    members: list[Member]
    duplicates: list[str] = field(default_factory=list)


def read_index(shard: Path) -> TarIndex:
    """The index of a shard: from its cache while size and time stamp match, else by scanning it.

    The cache is ``SHARD.tar.index.json`` beside the shard, or in the user's cache folder
    where that cannot be written; without either it is made anew every time.
    """
    status = shard.stat()
    stamp = [VERSION, status.st_size, status.st_mtime_ns]
    places = _cache_places(shard)
    for place in places:
        index = _load(place, stamp)
        if index is not None:
            return index
    index = scan(shard)
    text = json.dumps({"stamp": stamp, **asdict(index)})
    any(_store(place, text) for place in places)
    return index


def scan(shard: Path) -> TarIndex:
    """Read the members of a shard up to its end, or to where it was cut off.

    Members with the same name up to the first dot make one sample, as in WebDataset.
    """
    samples: dict[str, dict[str, Span]] = {}
    duplicates: list[str] = []
    with shard.open("rb") as stream:
        files, complete = list_files(stream, 0, shard.stat().st_size)
        for name, span in files:
            kind = Path(name).name.partition(".")[2]
            key = name.removeprefix("./").removesuffix(f".{kind}")
            suffix = f".{kind.lower()}"
            part = IMAGE if suffix in IMAGE_SUFFIXES else suffix
            if part not in PARTS:
                continue
            sample = samples.setdefault(key, {})
            if part in sample:
                duplicates.append(key)
            sample.setdefault(part, span)
        members = [_member(stream, key, parts) for key, parts in samples.items()]
    return TarIndex(complete=complete, members=members, duplicates=list(dict.fromkeys(duplicates)))


def list_files(stream: BinaryIO, start: int, end: int) -> tuple[list[tuple[str, Span]], bool]:
    """Name and place of every whole file of the archive in these bytes, and whether it is whole."""
    files: list[tuple[str, Span]] = []
    stream.seek(start)
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for info in tar:
                last = info.offset_data + info.size
                if info.isfile() and last <= end:
                    files.append((info.name, (info.offset_data, info.size)))
            stream.seek(tar.offset)
            # An empty block ends every archive; tarfile also stops at the end of the file or at a
            # damaged header, without a word.
            return files, stream.read(512) == bytes(512)
    except tarfile.TarError:
        return files, False


def _member(stream: BinaryIO, key: str, parts: Mapping[str, Span]) -> Member:
    def text(part: str) -> str:
        offset, length = parts.get(part, (0, 0))
        stream.seek(offset)
        return stream.read(length).decode("utf-8-sig", errors="replace")

    fields = _scalars(text(".json"))
    label = fields.get("label")
    return Member(
        key=key,
        span=parts.get(IMAGE),
        captions=_captions(text(".txt"), fields),
        label=text(".cls").strip() or ("" if label is None else str(label)).strip() or None,
        fields=fields,
    )


def _captions(text: str, fields: Mapping[str, object]) -> tuple[str, ...]:
    """One a line of the text; but img2dataset's texts, repeated in its JSON, are one caption."""
    words, whole = text.split(), fields.get("caption")
    if words and isinstance(whole, str) and whole.split() == words:
        return (" ".join(words),)
    return clean_captions(text.splitlines()) or field_captions(fields)


def _scalars(text: str) -> dict[str, object]:
    """The metadata of one sample; a damaged JSON text counts as none."""
    try:
        fields = json.loads(text)
    except json.JSONDecodeError:
        return {}
    if not isinstance(fields, dict):
        return {}
    return {name: value for name, value in fields.items() if not isinstance(value, dict)}


def _cache_places(shard: Path) -> list[Path]:
    name = f"{shard.name}.index.json"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(str(shard.absolute()).encode()).hexdigest()[:16]
    return [shard.with_name(name), home / "textok" / "shards" / f"{digest}-{name}"]


def _store(place: Path, text: str) -> bool:
    """Write all of it or nothing; False where that is not allowed."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, text, shared=True)
    except OSError:
        return False
    return True


def _load(place: Path, stamp: list[int]) -> TarIndex | None:
    try:
        stored = json.loads(place.read_text(encoding="utf-8"))
        if stored["stamp"] != stamp:
            return None
        members = [
            Member(
                key=member["key"],
                span=None if member["span"] is None else tuple(member["span"]),
                captions=tuple(member["captions"]),
                label=member["label"],
                fields=member["fields"],
            )
            for member in stored["members"]
        ]
        return TarIndex(
            complete=stored["complete"], members=members, duplicates=stored["duplicates"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
