"""Where the index of a tar shard is kept: made once, and again when the shard changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from textok.config.cache import cache_folder
from textok.config.data import CaptionSeparator
from textok.data.report import ReadReport
from textok.data.tar_index import COUNTS, Member, TarIndex, scan
from textok.runtime.files import write_text
from textok.runtime.untrusted import regular_file

VERSION = 5
"""Of what is kept: another one is made anew."""
_START = b'{"stamp": ['
"""How an index begins, of whatever version."""


def read_index(
    shard: Path, *, separator: CaptionSeparator = "auto", encoding: str = ""
) -> TarIndex:
    """The index of a shard: from its cache while size and time stamp match, else by scanning it.

    The cache is ``SHARD.tar.index.json`` beside the shard, or in the user's cache folder
    where that cannot be written or is somebody else's file; without either it is made anew every
    time.

    Raises:
        ValueError: the file is no tar archive.
    """
    status = shard.stat()
    stamp = [VERSION, status.st_size, status.st_mtime_ns, separator, encoding]
    places = _cache_places(shard)
    ours = []
    for place in places:
        stored = _read(place)
        index = None if stored is None else _load(stored, stamp)
        if index is not None:
            return index
        if stored is not None or not os.path.lexists(place):
            ours.append(place)
    index = scan(shard, separator=separator, encoding=encoding)
    text = json.dumps({"stamp": stamp, **asdict(index)})
    any(_store(place, text) for place in ours)
    return index


def _cache_places(shard: Path) -> list[Path]:
    name = f"{shard.name}.index.json"
    digest = hashlib.sha256(os.fsencode(shard.absolute())).hexdigest()[:16]
    return [shard.with_name(name), cache_folder() / "shards" / f"{digest}-{name}"]


def _store(place: Path, text: str) -> bool:
    """Write all of it or nothing; False where that is not allowed."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, text, shared=True)
    except (OSError, UnicodeError):
        return False
    return True


def _read(place: Path) -> Mapping[str, Any] | None:
    """An index of any version; None where nothing lies there, or a file that we did not write."""
    try:
        if place.is_symlink():
            return None
        with regular_file(place).open("rb") as stream:
            if stream.read(len(_START)) != _START:  # of what size it may be
                return None
        stored = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return stored if {"stamp", "complete", "members"} <= stored.keys() else None


def _load(stored: Mapping[str, Any], stamp: Sequence[str | int]) -> TarIndex | None:
    try:
        if stored["stamp"] != list(stamp):
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
        index = TarIndex(
            complete=stored["complete"],
            members=members,
            duplicates=stored["duplicates"],
            dotted=stored["dotted"],
            counts=stored["counts"],
        )
        return index if _is_sound(index, size=int(stamp[1])) else None
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _is_sound(index: TarIndex, *, size: int) -> bool:
    """Whether a stored index can be of a shard of ``size`` bytes: it may come with the shard."""
    texts = [*index.duplicates, *index.dotted]
    for member in index.members:
        texts += [member.key, *member.captions, member.label or ""]
        start, length = map(int, member.span or (0, 0))
        if not (0 <= start <= start + length <= size and isinstance(member.fields, dict)):
            return False
    usual = asdict(ReadReport())
    counts = {name: type(count) for name, count in index.counts.items()}
    known = counts == {name: type(usual[name]) for name in COUNTS}
    return known and all(isinstance(text, str) for text in texts)
