"""What images are trained on, to know them again: names, captions and sizes, no pixels."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from textok.data.images import CaptionedImages
from textok.data.records import Record
from textok.runtime.files import atomic_write
from textok.runtime.untrusted import regular_file

_AT_ONCE = 1000
_THREADS = 16
"""A network's file system answers many questions at once."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """A list of what is trained on, in order; two that are equal give the same batches.

    A key may come several times, as the rows of an image's captions do.
    """

    keys: list[str]
    captions: list[str]
    """Digest of the captions of each."""
    labels: list[str | None]
    sizes: list[int]
    """Bytes of each file, or of its span in a shard; -1 where there is none."""
    whole: dict[str, str] = field(default_factory=dict)
    """What holds of all, by its name in messages."""

    def difference(self, now: Fingerprint) -> str:
        """What is other in ``now``, as in ``1 removed, 2 added, first 'b.png'``; empty: nothing."""
        if self == now:
            return ""
        for name in {**self.whole, **now.whole}:
            before, after = (one.whole.get(name, "none") for one in (self, now))
            if before != after:
                return f"{name} was {before} and is {after}"
        old, new = self._by_key(), now._by_key()
        kinds: dict[str, list[str]] = {
            "removed": [key for key in old if key not in new],
            "added": [key for key in new if key not in old],
        }
        both = [key for key in old if key in new and old[key] != new[key]]
        for place, kind in enumerate(("with other captions", "of another class")):
            kinds[kind] = [
                key
                for key in both
                if [row[place] for row in old[key]] != [row[place] for row in new[key]]
            ]
        told = {*kinds["with other captions"], *kinds["of another class"]}
        kinds["of another size in bytes"] = [key for key in both if key not in told]
        parts = [f"{len(keys)} {kind}" for kind, keys in kinds.items() if keys]
        if not parts:
            return "the order is another"
        first = next(keys[0] for keys in kinds.values() if keys)
        return f"{', '.join(parts)}, first '{first}'"

    def write(self, path: Path) -> None:
        """Write it whole or not at all; the same list has the same bytes."""
        text = json.dumps(asdict(self), ensure_ascii=False)
        with (
            atomic_write(path) as temporary,
            temporary.open("wb") as raw,
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file,
        ):
            file.write(text.encode("utf-8", "backslashreplace"))

    def _by_key(self) -> Mapping[str, list[tuple[str, str | None, int]]]:
        found: dict[str, list[tuple[str, str | None, int]]] = defaultdict(list)
        about = zip(self.captions, self.labels, self.sizes, strict=True)
        for key, row in zip(self.keys, about, strict=True):
            found[key].append(row)
        return found


def read_fingerprint(path: Path) -> Fingerprint | None:
    """What :meth:`Fingerprint.write` wrote; None where nothing is.

    Raises ValueError for a damaged file.
    """
    try:
        with gzip.open(regular_file(path)) as file:
            return Fingerprint(**json.loads(file.read()))
    except FileNotFoundError:
        return None
    except (OSError, EOFError, zlib.error, ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path}: damaged ({error}); delete it to go on without comparing the data"
        ) from None


def fingerprint(images: CaptionedImages) -> Fingerprint:
    """Of the images of a split: no file is opened, each is asked for its size once."""
    weights = " ".join(f"{part.name}={part.weight:.6g}" for part in images.parts)
    return Fingerprint(
        keys=[record.key for record in images.records],
        captions=[captions_digest(record.captions) for record in images.records],
        labels=[record.label for record in images.records],
        sizes=sizes(images.records),
        whole={"the mixture": weights} if weights else {},
    )


def captions_digest(captions: Sequence[str]) -> str:
    """Sixteen hexadecimal digits."""
    text = "\0".join((str(len(captions)), *captions))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def sizes(records: Sequence[Record]) -> list[int]:
    """Bytes of each image as it is stored; -1 where its file is gone."""
    parts = [records[at : at + _AT_ONCE] for at in range(0, len(records), _AT_ONCE)]
    with ThreadPoolExecutor(_THREADS) as pool:
        return [size for part in pool.map(_sizes, parts) for size in part]


def _sizes(records: Sequence[Record]) -> list[int]:
    return [_size(record) for record in records]


def _size(record: Record) -> int:
    if record.span is not None:
        return record.span[1]
    try:
        return os.stat(record.file).st_size  # noqa: PTH116
    except OSError:
        return -1
