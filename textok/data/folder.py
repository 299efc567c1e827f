"""Image folders: their files, sidecar texts and class sub-folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from textok.data.records import IMAGE_SUFFIXES, Entry, Record, clean_captions

TABLES = ("metadata.jsonl", "metadata.csv", "captions.csv")


def find_files(root: Path) -> list[str]:
    """All images and tables under ``root`` but hidden ones, relative to it, sorted."""
    found = []
    seen = set()
    for folder, children, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a parent would never end
            children.clear()
            continue
        seen.add(real)
        children[:] = sorted(child for child in children if not child.startswith("."))
        inside = Path(folder).relative_to(root)
        found += [
            (inside / name).as_posix()
            for name in names
            if name in TABLES or (is_image(name) and not name.startswith("."))
        ]
    return sorted(found)


def is_image(name: str) -> bool:
    """By its suffix."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def read_sidecars(root: Path, images: list[str]) -> Iterator[Entry]:
    """Captions from ``NAME.txt`` beside each image, one a line; labels from the sub-folders.

    The label is the first sub-folder's name, provided that no image lies in ``root`` itself, and
    that the sub-folders are no shards of img2dataset, which writes their tables beside them.
    """
    shards = {path.stem for path in root.glob("*.parquet")}
    labelled = all("/" in name and name.split("/")[0] not in shards for name in images)
    for name in images:
        sidecar = (root / name).with_suffix(".txt")
        text = ""
        if sidecar.is_file():
            text = sidecar.read_text(encoding="utf-8-sig", errors="replace")
        yield (
            Record(
                key=name,
                captions=clean_captions(text.splitlines()),
                label=name.split("/")[0] if labelled else None,
                file=root / name,
            ),
            {},
        )
