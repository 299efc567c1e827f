"""Tar shards as WebDataset reads them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from textok.datasets.export.pictures import Picture, Pictures, read_bytes
from textok.datasets.export.shard import Advance, Shard, Written, has_size
from textok.runtime.files import atomic_write


@dataclass(frozen=True, kw_only=True)
class WebDataset:
    """SPLIT/00000.tar with NAME.jpg, NAME.json and NAME.txt, one caption a line."""

    out: Path

    def folders(self, splits: Sequence[str]) -> list[str]:
        return list(splits)

    def write(self, shard: Shard, advance: Advance) -> Written:
        bad: dict[str, str] = {}
        path = self._path(shard)
        count = 0
        with (
            atomic_write(path, flush=True) as temporary,
            tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for picture, suffix, content in read_bytes(shard.pictures, bad, advance):
                count += 1
                for name, part in _members(picture, suffix, content):
                    info = tarfile.TarInfo(name)
                    info.size = len(part)
                    tar.addfile(info, io.BytesIO(part))
        return Written(images=count, bytes=path.stat().st_size, bad=bad)

    def is_there(self, shard: Shard, written: Written) -> bool:
        return has_size(self._path(shard), written)

    def finish(self, pictures: Pictures, written: Mapping[str, Sequence[Written]]) -> None:
        """All is in the shards."""

    def _path(self, shard: Shard) -> Path:
        return self.out / shard.split / f"{shard.number:05d}.tar"


def _members(picture: Picture, suffix: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield f"{picture.name}{suffix}", content
    facts = json.dumps(picture.facts(), ensure_ascii=False)
    yield f"{picture.name}.json", facts.encode("utf-8", "replace")
    # A line break inside a caption would make two of it.
    lines = [" ".join(caption.split()) for caption in picture.record.captions]
    if lines:
        yield f"{picture.name}.txt", "\n".join(lines).encode("utf-8", "replace")
