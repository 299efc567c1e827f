"""Captioned images at random access, whatever convention they are stored by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textok.config.data import DataConfig
from textok.data.caption_files import read_captions
from textok.data.class_captions import for_image, read_class_captions
from textok.data.detect import find_entries
from textok.data.pixels import CENTER, decode, pad_to_square, pil_to_square
from textok.data.records import Record, Report
from textok.data.where import keep_records


@dataclass(frozen=True, kw_only=True)
class CaptionedImages:
    """The images of one split, in a fixed order."""

    config: DataConfig
    image_size: int
    records: list[Record]
    classes: list[str]
    """The distinct labels, sorted; the number of a label is its place here."""
    report: Report
    """What was left out so far."""

    def __len__(self) -> int:
        return len(self.records)

    def read(
        self, index: int, *, crop: tuple[float, float] = CENTER, flip: bool = False
    ) -> NDArray[np.uint8]:
        """Pixels (image_size, image_size, 3) of one image, cut at ``crop``, mirrored by ``flip``.

        Raises:
            BadImageError: damaged, truncated or refused.
            OSError: the file is gone.
        """
        image = decode(self.records[index].read_bytes(), size=self.image_size)
        if self.config.fit == "pad":
            image = pad_to_square(image)
        pixels = pil_to_square(image, self.image_size, crop)
        return np.ascontiguousarray(pixels[:, ::-1]) if flip else pixels

    def number(self, record: Record) -> int:
        """The place of a record's label in ``classes``; -1 without a label."""
        return -1 if record.label is None else self._numbers[record.label]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.classes)}

    def note_bad(self, bad: Mapping[str, str]) -> None:
        """Count files that could not be read (key: reason).

        Raises:
            BadFilesError: more than ``data.max_bad_share`` of the files are bad by now.
        """
        if bad:
            self.report.bad.update(bad)
            self.report.check_share(self.config.max_bad_share)


def open_captioned_images(config: DataConfig, *, image_size: int) -> CaptionedImages:
    """List the images and captions of a folder or of tar shards, by the rules of docs/data.md.

    Raises:
        ValueError: nothing there, a mixture of conventions, a ``where`` that fits nothing, or
            ``captions`` or ``class_captions`` of other images.
        BadFilesError: more files than ``data.max_bad_share`` are named but do not exist.
    """
    report = Report()
    kept = keep_records(find_entries(config, report), config.where, report)
    records = _with_captions(_first_of_each_key(kept, report), config)
    records = _with_class_captions(records, config)
    report.images = len(records)
    report.without_caption = sum(not record.captions for record in records)
    report.check_share(config.max_bad_share)
    if not records:
        raise ValueError(f"data.path {config.path}: no image that can be read")
    return CaptionedImages(
        config=config,
        image_size=image_size,
        records=records,
        classes=sorted_labels({record.label for record in records if record.label is not None}),
        report=report,
    )


def _first_of_each_key(records: Iterable[Record], report: Report) -> list[Record]:
    first: dict[str, Record] = {}
    for record in records:
        if first.setdefault(record.key, record) is not record:
            report.duplicates.append(record.key)
    return list(first.values())


def _with_captions(records: list[Record], config: DataConfig) -> list[Record]:
    """The records with the captions of ``data.captions``, if any; without one where it has none."""
    if not config.captions:
        return records
    captions = read_captions(Path(config.captions).expanduser(), config.split)
    if records and not any(record.key in captions for record in records):
        raise ValueError(
            f"data.captions {config.captions} has captions of {len(captions)} keys, none of which "
            f"is in {config.path}, where one is {records[0].key}"
        )
    return [replace(record, captions=captions.get(record.key, ())) for record in records]


def _with_class_captions(records: list[Record], config: DataConfig) -> list[Record]:
    """The records with the captions of their class, where ``data.class_captions`` has any."""
    if not config.class_captions:
        return records
    known = read_class_captions(Path(config.class_captions).expanduser())
    of_class = {name: captions.of_split(config.split) for name, captions in known.items()}
    labels = {record.label for record in records if record.label is not None}
    if records and not labels & known.keys():
        raise ValueError(
            f"data.class_captions {config.class_captions} has captions of {len(known)} classes, "
            f"none of which is in {config.path}, "
            + (f"where one is {min(labels)}" if labels else "whose images have no classes")
        )
    several = [of_class.get(record.label or "") for record in records]
    return [
        replace(record, captions=for_image(captions, record.key)) if captions else record
        for record, captions in zip(records, several, strict=True)
    ]


def sorted_labels(labels: set[str]) -> list[str]:
    """By number where all labels are numbers, else by name."""
    return sorted(labels, key=int if all(label.isdecimal() for label in labels) else None)
