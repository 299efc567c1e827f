"""The images that are exported, each under the name of its file, and their bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from textok.config.check import require
from textok.config.data import DataConfig
from textok.data.detect import own_splits
from textok.data.formats import format_of
from textok.data.mixture import parse_mixture
from textok.data.records import Record
from textok.data.splits import split_name
from textok.datasets.described import facts, read_pictures
from textok.datasets.names import file_names

SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WebP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "PPM": ".ppm",
    "JPEG 2000": ".jp2",
    "JPEG XL": ".jxl",
    "AVIF": ".avif",
    "HEIC": ".heic",
}
"""Of files, by the format of their bytes: suffixes of the source may be wrong."""
ALL = "train"
"""The split of a set without splits."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image of a set."""

    name: str
    """Of its file, without the suffix."""
    record: Record
    fields: Mapping[str, object]
    """Metadata beside captions and class: scalars and lists of scalars."""

    def facts(self) -> dict[str, object]:
        """Key, captions, class and other metadata."""
        return facts(self.record, self.fields)


Pictures = Mapping[str, Sequence[Picture]]
"""By split."""


def read_set(data: DataConfig, splits: Sequence[str], *, dots: bool) -> Pictures:
    """The images of ``splits``, or of all that there are, in the order of the set.

    ``dots``: whether names of files may have any.

    Raises:
        ValueError: ``data`` cannot be read, is a mixture, or lacks a split.
        BadFilesError: too many of its files are missing.
    """
    require(
        not parse_mixture(data.path),
        f"data.path {data.path} is a mixture: export one set at a time",
    )
    found = {}
    for name, own in _chosen(data, splits).items():
        pictures, _ = read_pictures(replace(data, split=own))
        names = file_names([record.key for record, _ in pictures], dots=dots)
        found[name] = [
            Picture(name=names[record.key], record=record, fields=fields)
            for record, fields in pictures
        ]
    return found


def digest(pictures: Pictures) -> str:
    """SHA-256 of all that an exported set is made of, but for the pixels."""
    whole = hashlib.sha256()
    for split, several in pictures.items():
        for picture in several:
            line = [split, picture.facts(), _size(picture.record)]
            whole.update(json.dumps(line, sort_keys=True).encode())
    return whole.hexdigest()


def read_bytes(
    pictures: Sequence[Picture], bad: dict[str, str], advance: Callable[[int], None]
) -> Iterator[tuple[Picture, str, bytes]]:
    """Each image with its suffix and its bytes.

    Those that cannot be read go to ``bad`` (key: reason). They are not decoded.
    """
    for picture in pictures:
        advance(1)
        try:
            content = picture.record.read_bytes()
        except OSError as error:
            bad[picture.record.key] = str(error)
            continue
        suffix = SUFFIXES.get(format_of(content))
        if suffix is None:
            bad[picture.record.key] = "no known image format" if content else "empty file"
            continue
        yield picture, suffix, content


def _chosen(data: DataConfig, splits: Sequence[str]) -> dict[str, str]:
    """The splits to write, and the value of ``data.split`` that reads each."""
    own = own_splits(data)
    if not own:
        require(
            set(splits) <= {ALL},
            f"splits {' '.join(splits)}: {data.path} has no splits; all of it becomes {ALL}",
        )
        return {ALL: ""}
    wanted = [name if name in own else split_name(name) for name in splits]
    for name, given in zip(wanted, splits, strict=True):
        require(name in own, f"splits: {data.path} has no {given}; there are {', '.join(own)}")
    return {name: name for name in own if name in wanted or not wanted}


def _size(record: Record) -> int:
    """Bytes, or the row in a table."""
    if record.span is None:
        return record.file.stat().st_size
    return record.span[0] if record.rows is not None else record.span[1]
