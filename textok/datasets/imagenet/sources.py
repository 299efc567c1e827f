"""Where the images of each class lie: official archives, class folders, or Kaggle's layout."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from textok.config.check import require
from textok.data.folder import is_image
from textok.data.records import Record
from textok.data.tar_index import Span, list_files
from textok.datasets.imagenet.classes import SYNSET, class_names, validation_labels

ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "val": "ILSVRC2012_img_val.tar"}
KAGGLE = "ILSVRC/Data/CLS-LOC"
MEAN_BYTES = 115_440
"""Of an image with its tar header in the official ILSVRC2012_img_train.tar."""
SAMPLED = 8
"""How many files of a class are measured to estimate the size of all."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A class as a folder of image files."""

    path: Path

    def records(self) -> list[Record]:
        """By name. The label is left to the caller, here and below."""
        names = sorted(entry.name for entry in os.scandir(self.path))
        return [_record(name, self.path / name) for name in names if _is_picture(name)]


@dataclass(frozen=True, kw_only=True)
class InnerTar:
    """A class as a tar file inside the archive of the training images."""

    archive: Path
    name: str
    span: Span

    def records(self) -> list[Record]:
        """By name. Raises ValueError where the inner archive is damaged."""
        start, length = self.span
        with self.archive.open("rb") as stream:
            files, complete = list_files(stream, start, start + length)
        require(complete, f"{self.archive}: its {self.name} is damaged; fetch the archive again")
        return [
            _record(name, self.archive, span) for name, span in sorted(files) if _is_picture(name)
        ]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A class picked from a folder or archive that holds all of them."""

    listed: tuple[Record, ...]

    def records(self) -> list[Record]:
        """By name."""
        return sorted(self.listed, key=lambda record: record.key)


@dataclass(frozen=True, kw_only=True)
class ClassImages:
    """The images of one class in one split."""

    split: str
    synset: str
    place: Folder | InnerTar | Listed
    images: int
    """How many; about as many for an :class:`InnerTar`, which is not opened yet."""
    size: int
    """Bytes of all of them, estimated from a few where they are single files."""


def find_classes(source: Path, split: str) -> list[ClassImages]:
    """The classes of a split in the order of their synsets; an archive goes before a folder.

    Raises:
        ValueError: nothing of the kind in ``source``, a damaged archive, a class that is none of
            ImageNet's, or a validation image without a label.
    """
    require(source.is_dir(), f"{source}: no such folder; name the one that holds ImageNet")
    archive = source / ARCHIVES[split]
    folders = [base / split for base in (source, source / KAGGLE) if (base / split).is_dir()]
    found: list[ClassImages] = []
    if archive.is_file() and split == "train":
        found = _inner_tars(archive)
    elif archive.is_file():
        found = _by_label(_flat_archive(archive), source)
    elif folders:
        found = _class_folders(folders[0])
        if not found and split == "val":
            found = _by_label(Folder(path=folders[0]).records(), source)
    require(
        bool(found),
        f"{source}: no images of {split}: looked for {archive.name}, {split}/n01440764 and "
        f"{KAGGLE}/{split}; name the folder with one of them, or only the --splits that are there",
    )
    unknown = [one.synset for one in found if one.synset not in class_names()]
    require(not unknown, f"{source}: {', '.join(unknown[:3])} in {split}: no class of ImageNet-1k")
    return sorted(found, key=lambda one: one.synset)


def _class_folders(folder: Path) -> list[ClassImages]:
    places = [Folder(path=path) for path in folder.iterdir() if SYNSET.fullmatch(path.name)]
    found = []
    for place in places:
        records = place.records()
        found.append(
            ClassImages(
                split=folder.name,
                synset=place.path.name,
                place=place,
                images=len(records),
                size=_total_size(records),
            )
        )
    return found


def _inner_tars(archive: Path) -> list[ClassImages]:
    return [
        ClassImages(
            split="train",
            synset=Path(name).stem,
            place=InnerTar(archive=archive, name=name, span=span),
            images=max(1, round(span[1] / MEAN_BYTES)),
            size=span[1],
        )
        for name, span in _whole_archive(archive)
        if name.endswith(".tar")
    ]


def _flat_archive(archive: Path) -> list[Record]:
    files = _whole_archive(archive)
    return [_record(name, archive, span) for name, span in files if _is_picture(name)]


def _whole_archive(archive: Path) -> list[tuple[str, Span]]:
    with archive.open("rb") as stream:
        files, complete = list_files(stream, 0, archive.stat().st_size)
    require(complete, f"{archive}: no whole tar archive, it ends too early; fetch it again")
    return files


def _by_label(records: list[Record], source: Path) -> list[ClassImages]:
    """Validation images that lie together, sorted into their classes."""
    labels = validation_labels(source) if records else {}
    members = defaultdict(list)
    for record in records:
        require(record.key in labels, f"{source}: no class is known for {record.key}")
        members[labels[record.key]].append(record)
    return [
        ClassImages(
            split="val",
            synset=synset,
            place=Listed(listed=tuple(own)),
            images=len(own),
            size=_total_size(own),
        )
        for synset, own in members.items()
    ]


def _record(name: str, file: Path, span: Span | None = None) -> Record:
    return Record(key=Path(name).stem, captions=(), label=None, file=file, span=span)


def _total_size(records: list[Record]) -> int:
    """Bytes, from the first few where each is a file of its own."""
    sizes = [
        record.file.stat().st_size if record.span is None else record.span[1]
        for record in records[:SAMPLED]
    ]
    return round(sum(sizes) / max(1, len(sizes)) * len(records))


def _is_picture(name: str) -> bool:
    return is_image(name) and not Path(name).name.startswith(".")
