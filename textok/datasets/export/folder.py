"""Image files and a metadata.jsonl in each split, as Hugging Face's ImageFolder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from textok.datasets.export.pictures import Pictures, read_bytes
from textok.datasets.export.shard import Advance, Shard, Written
from textok.runtime.files import atomic_write, write_text


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """SPLIT/NAME.jpg and SPLIT/metadata.jsonl."""

    out: Path

    def folders(self, splits: Sequence[str]) -> list[str]:
        return list(splits)

    def write(self, shard: Shard, advance: Advance) -> Written:
        bad: dict[str, str] = {}
        files: list[str] = []
        size = 0
        for picture, suffix, content in read_bytes(shard.pictures, bad, advance):
            files.append(f"{picture.name}{suffix}")
            size += len(content)
            target = self.out / shard.split / files[-1]
            if not target.is_file() or target.stat().st_size != len(content):
                with atomic_write(target) as temporary:
                    temporary.write_bytes(content)
        return Written(images=len(files), bytes=size, bad=bad, files=tuple(files))

    def is_there(self, shard: Shard, written: Written) -> bool:
        return all((self.out / shard.split / name).is_file() for name in written.files)

    def finish(self, pictures: Pictures, written: Mapping[str, Sequence[Written]]) -> None:
        for split, several in pictures.items():
            bad = {key for shard in written[split] for key in shard.bad}
            kept = [picture for picture in several if picture.record.key not in bad]
            files = [name for shard in written[split] for name in shard.files]
            rows = [
                {"file_name": name, **picture.facts()}
                for name, picture in zip(files, kept, strict=True)
            ]
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            write_text(self.out / split / "metadata.jsonl", "".join(lines))
