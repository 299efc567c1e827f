"""Flickr8k as published (Hodosh et al. 2013): five captions an image, three splits."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from textok.config.data import SourceConfig
from textok.data.folder import list_folder
from textok.data.pictures import PictureFiles
from textok.data.records import Entry, Record
from textok.data.report import ReadReport
from textok.data.source import Source
from textok.data.splits import split_name

TOKENS = "Flickr8k.token.txt"
SPLITS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}


def find(root: Path, config: SourceConfig) -> Source | None:
    """The texts in ``root`` or a folder in it; the images anywhere below ``root``."""
    del config
    folders = (root, *sorted(Path(entry) for entry in os.scandir(root) if entry.is_dir()))
    texts = next((folder for folder in folders if (folder / TOKENS).is_file()), None)
    if texts is None:
        return None
    return Source(read=partial(_read, root, texts), splits=tuple(_lists(texts)))


def _read(root: Path, texts: Path, split: str, report: ReadReport) -> Iterator[Entry]:
    captions = _captions(texts / TOKENS)
    members = _members(texts, split)
    files = list_folder(root)
    files.tell(report)
    pictures = PictureFiles(root=root, names=files.images)
    for name in captions if members is None else members:
        found = pictures.find(name)
        if not found.path:
            report.pictureless += 1
            continue
        record = Record(
            key=name, captions=tuple(captions.get(name, ())), label=None, file=root / found.path
        )
        yield record, {}


def _captions(path: Path) -> dict[str, list[str]]:
    """``NAME.jpg#0<TAB>caption``, by name."""
    found: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(_lines(path), start=1):
        name, tab, caption = line.partition("\t")
        if not tab:
            raise ValueError(f"{path} line {number}: no tab between image and caption")
        if caption.strip():
            found[name.rpartition("#")[0] or name].append(caption.strip())
    return found


def _members(texts: Path, split: str) -> list[str] | None:
    """The names of a split; None for all, where no lists are there or no split is named."""
    lists = _lists(texts)
    if not split or not lists:
        return None
    name = split_name(split)
    if name not in lists:
        raise ValueError(f"{texts} has no list of '{split}'; data.split can be {', '.join(lists)}")
    return list(dict.fromkeys(line.strip() for line in _lines(lists[name]) if line.strip()))


def _lists(texts: Path) -> dict[str, Path]:
    return {name: texts / file for name, file in SPLITS.items() if (texts / file).is_file()}


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read: {error}; save it as UTF-8 text") from error
