"""Captioned images at random access, whatever convention they are stored by."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from textok.config.data import DataConfig
from textok.data.detect import find_entries
from textok.data.folder import printable
from textok.data.mixture import MixturePart, find_parts, mixture_entries, parse_mixture
from textok.data.other_captions import (
    with_captions,
    with_captions_by_set,
    with_class_captions,
)
from textok.data.pixels import CENTER, decode, pad_to_square, to_square
from textok.data.records import Record
from textok.data.report import ReadReport
from textok.data.sides import names_a_side
from textok.data.where import keep_records

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CaptionedImages:
    """The images of one split, in a fixed order."""

    config: DataConfig
    image_size: int
    records: list[Record]
    classes: list[str]
    """The distinct labels, sorted; the number of a label is its place here."""
    report: ReadReport
    """What was left out so far."""
    parts: tuple[MixturePart, ...] = ()
    """The sets of a mixture, one after the other; none where ``data.path`` is one set."""

    def __len__(self) -> int:
        return len(self.records)

    @property
    def bytes_each(self) -> int:
        """Of the pixels of an image."""
        return 3 * self.image_size**2

    def read(
        self, index: int, *, crop: tuple[float, float] = CENTER, flip: bool = False
    ) -> NDArray[np.uint8]:
        """Pixels (image_size, image_size, 3) of one image, cut at ``crop``, mirrored by ``flip``.

        Raises:
            BadImageError: damaged, truncated or refused.
            OSError: the file is gone.
        """
        pixels = self.square(self.open(index), crop)
        return np.ascontiguousarray(pixels[:, ::-1]) if flip else pixels

    def open(self, index: int) -> Image.Image:
        """One image, decoded and padded where ``data.fit`` asks. Raises what :meth:`read` does."""
        size = self.image_size if self.config.resize == "lanczos" else None
        image = decode(self.records[index].read_bytes(), size=size)
        return pad_to_square(image) if self.config.fit == "pad" else image

    def square(self, image: Image.Image, crop: tuple[float, float] = CENTER) -> NDArray[np.uint8]:
        """Pixels (image_size, image_size, 3) of what :meth:`open` gave, by ``data.resize``."""
        return to_square(image, self.image_size, crop, resize=self.config.resize)

    def following(self, index: int, steps: int) -> int:
        """The image ``steps`` after ``index``, round and round in its own set."""
        images = next((p.images for p in self.parts if index in p.images), range(len(self)))
        return images[(index - images.start + steps) % len(images)]

    def number(self, record: Record) -> int:
        """The place of a record's label in ``classes``; -1 without a label."""
        return -1 if record.label is None else self._numbers[record.label]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.classes)}

    def require_captions(self) -> None:
        """Raise ValueError where no image has a caption, unless ``data.allow_uncaptioned``."""
        if not self.report.captions and not self.config.allow_uncaptioned:
            raise ValueError(
                f"data.path {self.config.path}: none of {len(self)} images has a caption, which "
                f"the model reads; {self.report.cure()}; data.allow_uncaptioned goes on without"
            )

    def note_bad(self, bad: Mapping[str, str]) -> None:
        """Count files that could not be read (key: reason).

        Raises:
            BadFilesError: more than ``data.max_bad_share`` of the files are bad by now.
        """
        if bad:
            self.report.bad.update(bad)
            self.report.check_share(self.config.max_bad_share)


def open_captioned_images(
    config: DataConfig, *, image_size: int, quiet: bool = False
) -> CaptionedImages:
    """List the images and captions of a folder or of tar shards, by the rules of docs/data.md.

    Of a mixture all sets, one after the other. What was found goes to the log, unless ``quiet``.

    Raises:
        ValueError: nothing there, a mixture of conventions, a ``where`` that fits nothing,
            ``captions`` or ``class_captions`` of other images, or weights that cannot be.
        BadFilesError: more files than ``data.max_bad_share`` are named but do not exist.
    """
    report = ReadReport()
    sets = parse_mixture(config.path)
    entries = mixture_entries(config, sets, report) if sets else find_entries(config, report)
    records = _first_of_each_key(keep_records(entries, config.where, report), report)
    parts = find_parts(config.path, sets, records) if sets else []
    if config.captions:
        records = (
            with_captions_by_set(records, parts, config) if sets else with_captions(records, config)
        )
    records = with_class_captions(records, config)
    labels = {record.label for record in records if record.label is not None}
    report.images, report.classes = len(records), len(labels)
    report.captions = sum(len(record.captions) for record in records)
    report.without_caption = sum(not record.captions for record in records)
    if config.flip and config.keep_sides:
        report.sided = sum(names_a_side(text) for record in records for text in record.captions)
    report.check_share(config.max_bad_share)
    if not records:
        raise ValueError(f"data.path {config.path}: no image that can be read; {report.summary()}")
    for message in [] if quiet else report.messages():
        _LOGGER.info("data %s%s: %s", printable(config.path), _split_of(config), message)
    return CaptionedImages(
        config=config,
        image_size=image_size,
        records=records,
        classes=sorted_labels(labels),
        report=report,
        parts=tuple(parts),
    )


def _split_of(config: DataConfig) -> str:
    return f" ({config.split})" if config.split else ""


def _first_of_each_key(records: Iterable[Record], report: ReadReport) -> list[Record]:
    first: dict[str, Record] = {}
    for record in records:
        if first.setdefault(record.key, record) is not record:
            report.duplicates.append(record.key)
    return list(first.values())


def sorted_labels(labels: set[str]) -> list[str]:
    """By number where all labels are numbers, else by name."""
    return sorted(labels, key=int if all(label.isdecimal() for label in labels) else None)
