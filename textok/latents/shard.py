"""One shard of latents: numbers as safetensors, and beside them a JSON line a row.

Everything that tells one extraction from another is in the shard itself, so that a folder can be
judged before its index is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from textok.latents.features import PictureFeatures
from textok.runtime.checksum import tensors_sha256
from textok.runtime.files import atomic_write, write_text
from textok.runtime.untrusted import regular_file
from textok.types import Latents

Settings = Mapping[str, str | int | bool]
"""What the rows of a shard depend on, by the names that users know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentRow:
    """What one row of latents was made of."""

    key: str
    caption: str
    label: str | None
    """Name of the class."""


@dataclass(frozen=True, kw_only=True)
class LatentShard:
    """A shard as it lies on the disk; its numbers are mapped into memory, not read."""

    lines: Path
    latents: Latents
    """float16, and int32 ``codes`` where tokens are discrete."""
    settings: Settings
    unreadable: dict[str, str]
    """Key and reason of each image that is missing from the shard."""
    features: PictureFeatures | None = None
    """Of each image, where they were asked for."""

    lines_sha256: str = ""
    """Of the lines; empty where they were written without one."""

    def __len__(self) -> int:
        return len(self.latents.mean)

    @property
    def whole(self) -> bool:
        """Whether there are as many lines as rows."""
        return self.lines.is_file() and self.lines.read_bytes().count(b"\n") == len(self)

    def rows(self) -> list[LatentRow]:
        """The lines, read. Raises ValueError for a damaged one, or for more or fewer than rows."""
        if not self.lines.is_file():
            raise ValueError(f"{self.lines}: no such file")
        data = self.lines.read_bytes()
        lines = data.decode("utf-8", "replace").split("\n")[:-1]
        if len(lines) != len(self):
            raise ValueError(f"{self.lines}: {len(lines)} lines for {len(self)} rows of latents")
        rows = []
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(LatentRow(**json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                raise ValueError(f"{self.lines} line {number}: damaged ({error})") from None
        if self.lines_sha256 and sha256(data).hexdigest() != self.lines_sha256:
            raise ValueError(f"{self.lines}: not what was written, the checksum differs")
        return rows


def shard_path(folder: Path, number: int) -> Path:
    """The numbers of a shard; its lines lie beside them, as ``.jsonl``."""
    return folder / f"shard-{number:05d}.safetensors"


def write_shard(
    path: Path,
    latents: Latents,
    rows: Sequence[LatentRow],
    *,
    settings: Settings,
    unreadable: Mapping[str, str],
    features: PictureFeatures | None = None,
) -> None:
    """Write the lines, then float16 numbers and int32 codes: where these are, the shard is whole.

    Raises ValueError for numbers that float16 does not hold.
    """
    tensors = {"mean": latents.mean.half().contiguous()}
    if latents.logvar is not None:
        tensors["logvar"] = latents.logvar.half().contiguous()
    assert len(rows) == len(latents.mean)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{path}: {name} is not finite in float16; is the tokenizer trained?")
    if latents.codes is not None:
        tensors["codes"] = latents.codes.int().contiguous()
    if features is not None:
        if not features.values.isfinite().all():
            raise ValueError(f"{path}: features are not finite in float16; use another network")
        tensors |= {"features": features.values, "pictures": features.pictures}
    lines = "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    write_text(path.with_suffix(".jsonl"), lines)
    sums = {"numbers": tensors_sha256(tensors), "lines": sha256(lines.encode()).hexdigest()}
    # One entry: safetensors keeps no order between several, and equal shards have equal bytes.
    about = {"settings": settings, "unreadable": unreadable, "sha256": sums}
    text = json.dumps(about, ensure_ascii=False)
    text = text.encode("utf-8", "backslashreplace").decode()  # a path may not be UTF-8
    with atomic_write(path, flush=True) as temporary:
        save_file(tensors, temporary, {"shard": text})


def open_shard(path: Path, *, verify: bool = False) -> LatentShard:
    """Map a shard into memory; with ``verify`` read it once and compare its checksum.

    Raises ValueError for another or a damaged file, or none.
    """
    try:
        with safe_open(regular_file(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads(file.metadata()["shard"])
        sums = about.get("sha256", {})  # none in shards of older versions
        if verify and sums and sums["numbers"] != tensors_sha256(tensors):
            raise ValueError("its numbers are not those that were written: the checksum differs")
        codes, features = tensors.pop("codes", None), None
        if "features" in tensors:
            features = PictureFeatures(
                values=tensors.pop("features"), pictures=tensors.pop("pictures")
            )
        latents = Latents(mean=tensors["mean"], logvar=tensors.get("logvar"), codes=codes)
        kinds = {(tensor.shape, tensor.dtype) for tensor in tensors.values()}
        if kinds != {(latents.mean.shape, torch.float16)} or latents.mean.ndim != 3:
            raise ValueError("its tensors are not (rows, K, C) float16")
        expected = (latents.mean.shape[:2], torch.int32)
        if codes is not None and (codes.shape, codes.dtype) != expected:
            raise ValueError("its codes are not (rows, K) int32")
        if features is not None and not (
            features.whole and len(features.pictures) == len(latents.mean)
        ):
            raise ValueError("its features are not (images, F) float16, one for each row")
        return LatentShard(
            lines=path.with_suffix(".jsonl"),
            latents=latents,
            settings=about["settings"],
            unreadable=about["unreadable"],
            lines_sha256=sums.get("lines", ""),
            features=features,
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no whole shard of latents ({error})") from None
