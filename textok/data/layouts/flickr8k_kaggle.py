"""Flickr8k as Kaggle has it: ``captions.txt`` with ``image,caption`` and a folder of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from textok.data.folder import find_files, is_image
from textok.data.pictures import PictureFiles
from textok.data.records import Entry, ReadReport
from textok.data.source import Source
from textok.data.table import Table

CAPTIONS, HEADER = "captions.txt", "image,caption"


def find(root: Path) -> Source | None:
    """There are no splits in it: every one is the whole."""
    table = root / CAPTIONS
    if not table.is_file():
        return None
    with table.open(encoding="utf-8-sig", errors="replace") as stream:
        head = stream.readline()
    fits = head.strip().replace(" ", "") == HEADER
    return Source(read=partial(_read, root)) if fits else None


def _read(root: Path, split: str, report: ReadReport) -> Iterator[Entry]:
    del split
    pictures = PictureFiles(root=root, names=[name for name in find_files(root) if is_image(name)])
    lost = ReadReport()
    table = Table(path=root / CAPTIONS, image_column="image", caption_columns=("caption",),
                  delimiter=",", anywhere=True)  # fmt: skip
    yield from table.read(pictures, lost)
    report.unlisted, report.malformed = lost.unlisted, lost.malformed
    report.pictureless += len(lost.missing)
