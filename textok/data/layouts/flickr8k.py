"""Flickr8k as published (Hodosh et al. 2013): five captions an image, three splits."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from textok.config.check import require
from textok.config.data import SourceConfig
from textok.data.captions import clean_captions
from textok.data.folder import list_folder
from textok.data.pictures import PictureFiles
from textok.data.records import Entry, Record
from textok.data.report import ReadReport
from textok.data.source import Source
from textok.data.splits import split_name
from textok.data.text_files import read_text

Lines = Callable[[Path], list[str]]
TOKENS = "Flickr8k.token.txt"
SPLITS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}


def find(root: Path, config: SourceConfig) -> Source | None:
    """The texts in ``root`` or a folder in it; the images anywhere below ``root``."""
    entries = (entry for entry in os.scandir(root) if not entry.is_file(follow_symlinks=False))
    folders = (root, *sorted(map(Path, entries)))  # links among them, or what is neither
    texts = next((folder for folder in folders if (folder / TOKENS).is_file()), None)
    if texts is None:
        return None
    return Source(read=partial(_read, root, texts, config.encoding), splits=tuple(_lists(texts)))


def _read(
    root: Path, texts: Path, encoding: str, split: str, report: ReadReport
) -> Iterator[Entry]:
    lines = partial(_lines, encoding=encoding, report=report)
    captions = _captions(texts / TOKENS, lines)
    members = _members(texts, split, lines)
    files = list_folder(root)
    files.tell(report)
    pictures = PictureFiles(root=root, names=files.images)
    for name in captions if members is None else members:
        found = pictures.find(name)
        if not found.path:
            report.pictureless += 1
            continue
        said = clean_captions(captions.get(name), report)
        yield Record(key=name, captions=said, label=None, file=root / found.path), {}


def _captions(path: Path, lines: Lines) -> dict[str, list[str]]:
    """``NAME.jpg#0<TAB>caption``, by name."""
    found: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(lines(path), start=1):
        name, tab, caption = line.partition("\t")
        if not tab:
            raise ValueError(f"{path} line {number}: no tab between image and caption")
        found[name.rpartition("#")[0] or name].append(caption)
    return found


def _members(texts: Path, split: str, lines: Lines) -> list[str] | None:
    """The names of a split; None for all, where no lists are there or no split is named."""
    lists = _lists(texts)
    if not split or not lists:
        return None
    name = split_name(split)
    if name not in lists:
        raise ValueError(f"{texts} has no list of '{split}'; data.split can be {', '.join(lists)}")
    return list(dict.fromkeys(line.strip() for line in lines(lists[name])))


def _lists(texts: Path) -> dict[str, Path]:
    return {name: texts / file for name, file in SPLITS.items() if (texts / file).is_file()}


def _lines(path: Path, *, encoding: str, report: ReadReport) -> list[str]:
    """Those that are not empty. Raises ValueError for a file that cannot be read."""
    text = read_text(path, encoding=encoding, name=path.name, report=report)
    problem = report.undecodable.get(path.name, "")
    require(not problem, f"{path} {problem}")
    return [line for line in io.StringIO(text, newline=None) if line.strip()]
