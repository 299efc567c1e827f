"""Captions by key in JSON lines, which lie apart from the images they are of."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from textok.data.captions import clean_captions
from textok.runtime.untrusted import regular_file

PATTERN = "captions*.jsonl"


def caption_files(path: Path) -> list[Path]:
    """The file itself, or the files of a folder, sorted. Raises ValueError for none."""
    found = [path] if path.is_file() else sorted(path.glob(PATTERN))
    if not found:
        raise ValueError(f"data.captions {path}: no file of `textok caption` ({PATTERN}) is there")
    return found


def caption_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of one file. A last line without its line break is half a line: left out.

    Raises:
        ValueError: a line that is no JSON object with a ``key``.
    """
    with regular_file(file).open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):  # not JSON, or not UTF-8
                fields = None
            if not isinstance(fields, dict) or not isinstance(fields.get("key"), str):
                raise ValueError(f"{file} line {number}: no JSON object with a key; repair it")
            yield fields


def read_captions(path: Path, split: str = "") -> dict[str, tuple[str, ...]]:
    """The captions of each key that has any, from a file, a folder, or its sub-folder ``split``.

    Several lines of one key add up.
    """
    folder = path / split if split and (path / split).is_dir() else path
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for file in caption_files(folder):
        for fields in caption_lines(file):
            found[fields["key"]] += clean_captions(fields.get("captions"))
    return {key: captions for key, captions in found.items() if captions}
