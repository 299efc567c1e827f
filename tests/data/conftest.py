"""Tiny images whose colours say which they are."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


def array_bytes(pixels: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    """Pixels (H, W, 3) as a file's bytes."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def encoded(level: int, *, kind: str = "PNG") -> bytes:
    """A grey square of 8 pixels, as a file's bytes."""
    return array_bytes(np.full((8, 8, 3), level, dtype=np.uint8), kind)


def noise() -> bytes:
    """A picture that does not compress, so that half of its file is half of it."""
    return array_bytes(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def write_folder(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """Files by their path under ``root``."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def write_tar(path: Path, members: list[tuple[str, bytes | str]]) -> Path:
    """A tar shard with these members, in this order."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Twenty grey squares, number i of value 10 i, with captions "i a" and "i b"."""
    rows = [
        {"file_name": f"{i:02d}.png", "captions": [f"{i} a", f"{i} b"], "label": i % 2}
        for i in range(20)
    ]
    files: dict[str, bytes | str] = {f"{i:02d}.png": encoded(10 * i) for i in range(20)}
    files["metadata.jsonl"] = "\n".join(json.dumps(row) for row in rows)
    return write_folder(tmp_path / "numbered", files)
