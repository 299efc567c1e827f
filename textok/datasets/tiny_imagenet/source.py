"""The annotations of Tiny ImageNet: classes, names and boxes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from textok.config.check import require
from textok.data.folder import is_image
from textok.datasets.imagenet.classes import class_names
from textok.datasets.tiny_imagenet.place import Place, open_place

WNIDS, WORDS, ANNOTATIONS = "wnids.txt", "words.txt", "val/val_annotations.txt"

Box = tuple[int, int, int, int]
"""Left, top, right and bottom pixel of the object, inclusive."""


@dataclass(frozen=True, kw_only=True)
class ObjectClass:
    """A class and its names."""

    wnid: str
    label: str
    """The first name, made different from the other classes' where it is not."""
    names: tuple[str, ...]
    """All names, as words.txt has them."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One labelled image."""

    path: str
    of: ObjectClass
    box: Box | None

    @property
    def name(self) -> str:
        """Without folder and suffix: ``n01443537_0``.

        Where a training image's does not begin with its class, as it does as published, the class
        is put before it; a dot, which would end the key in a shard, becomes ``_``.
        """
        name = PurePosixPath(self.path).stem.replace(".", "_")
        foreign = self.path.startswith("train/") and not name.startswith(self.of.wnid)
        return f"{self.of.wnid}_{name}" if foreign else name


@dataclass(frozen=True, kw_only=True)
class Published:
    """Everything but the pixels, sorted by class and number."""

    place: Place
    train: list[Picture]
    val: list[Picture]
    missing: dict[str, list[str]]
    """By folder (train, val): images that a list names but that are not there."""


def read_published(source: Path) -> Published:
    """Read the lists of ``source``, the published zip or its folder.

    Raises:
        ValueError: something of the layout is missing, or a line cannot be read.
    """
    place = open_place(source, WNIDS)
    for needed in (WORDS, ANNOTATIONS):
        require(needed in place.sizes, f"{source}: has no {needed}; is it unpacked whole?")
    classes = _classes(place, source)
    images: dict[str, list[str]] = {}
    for path in place.sizes:
        if is_image(path) and not PurePosixPath(path).name.startswith("."):
            images.setdefault(str(PurePosixPath(path).parent), []).append(path)
    missing: dict[str, list[str]] = {"train": [], "val": []}
    train: list[Picture] = []
    for wnid, one in classes.items():
        folder = f"train/{wnid}"
        found = images.get(f"{folder}/images", [])
        require(bool(found), f"{source}: has no images in {folder}/images; is it unpacked whole?")
        boxes = {row[0]: _box(row[1:]) for row in _rows(place, f"{folder}/{wnid}_boxes.txt", 5)}
        train += [_picture(p, one, boxes.get(PurePosixPath(p).name)) for p in found]
        missing["train"] += boxes.keys() - {PurePosixPath(path).name for path in found}
    rows = {row[0]: row[1:] for row in _rows(place, ANNOTATIONS, 6)}
    unknown = sorted({row[0] for row in rows.values()} - classes.keys())
    require(not unknown, f"{source}: {ANNOTATIONS} has {unknown[:1]}, which {WNIDS} has not")
    here = {PurePosixPath(path).name: path for path in images.get("val/images", [])}
    require(bool(here.keys() & rows.keys()), f"{source}: has no images in val/images")
    unlabelled = sorted(here.keys() - rows.keys())
    require(not unlabelled, f"{source}: {ANNOTATIONS} does not name {unlabelled[:1]}")
    missing["val"] += rows.keys() - here.keys()
    val = [_picture(path, classes[rows[n][0]], _box(rows[n][1:])) for n, path in here.items()]
    return Published(
        place=place, train=sorted(train, key=_order), val=sorted(val, key=_order), missing=missing
    )


def _classes(place: Place, source: Path) -> dict[str, ObjectClass]:
    """By wnid, sorted."""
    wnids = sorted(set(_text(place, WNIDS).split()))
    require(bool(wnids), f"{source}: {WNIDS} is empty; is it unpacked whole?")
    words: dict[str, tuple[str, ...]] = {}
    for wnid, *names in _rows(place, WORDS, 2):
        split = (" ".join(name.split()) for name in names[0].split(","))
        words[wnid] = tuple(dict.fromkeys(name for name in split if name))
    nameless = [wnid for wnid in wnids if not words.get(wnid)]
    require(not nameless, f"{source}: {WORDS} has no name of {', '.join(nameless[:3])}")
    labels = class_labels({wnid: words[wnid] for wnid in wnids})
    return {w: ObjectClass(wnid=w, label=labels[w], names=words[w]) for w in wnids}


def class_labels(names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The first name of each class; where several have the same, ImageNet's own or the wnid tells.

    ``crane`` and ``crane`` become ``crane (bird)`` and ``crane (lifting tackle)``.
    """
    labels = {wnid: own[0] for wnid, own in names.items()}
    shared = _repeated(labels)
    labels |= {wnid: class_names().get(wnid, labels[wnid]) for wnid in shared}
    return labels | {wnid: f"{labels[wnid]} ({wnid})" for wnid in _repeated(labels)}


def _repeated(labels: Mapping[str, str]) -> list[str]:
    counts = Counter(label.casefold() for label in labels.values())
    return [wnid for wnid, label in labels.items() if counts[label.casefold()] > 1]


def _picture(path: str, of: ObjectClass, box: Box | None) -> Picture:
    return Picture(path=path, of=of, box=box)


def _order(picture: Picture) -> tuple[str, list[tuple[bool, int, str]], str]:
    """By class, then by name with its numbers as numbers."""
    parts = re.split(r"(\d+)", picture.name)
    number = [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
    return picture.of.wnid, number, picture.path


def _box(fields: list[str]) -> Box | None:
    """None where the numbers are no box."""
    try:
        left, top, right, bottom = (round(float(field)) for field in fields)
    except (ValueError, OverflowError):
        return None
    return (left, top, right, bottom) if 0 <= left <= right and 0 <= top <= bottom else None


def _rows(place: Place, name: str, fields: int) -> Iterator[list[str]]:
    """The lines of a tab-separated file; none where it is not there."""
    if name not in place.sizes:
        return
    for number, line in enumerate(_text(place, name).splitlines(), start=1):
        if line.strip():
            row = [field.strip() for field in line.split("\t")]
            require(len(row) == fields, f"{name} line {number}: {fields} fields are needed")
            yield row


def _text(place: Place, name: str) -> str:
    try:
        return place.read(name).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise ValueError(f"{name}: cannot be read ({error})") from error
