"""The images of a set with all that is known of each, as a line of JSON says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from textok.config.data import DataConfig
from textok.data.captions import CAPTION_FIELDS
from textok.data.column_names import plain_name
from textok.data.detect import find_entries
from textok.data.images import open_captioned_images
from textok.data.records import Record
from textok.data.report import ReadReport

TAKEN = frozenset((*CAPTION_FIELDS, "file_name", "key", "label"))
"""Names that are of captions, key, class and file, and of no other metadata."""


def read_pictures(
    config: DataConfig,
) -> tuple[list[tuple[Record, dict[str, object]]], ReadReport]:
    """The records of ``config.split`` with their other metadata: scalars and lists of scalars.

    Raises:
        ValueError: ``config`` cannot be read.
        BadFilesError: too many of its files are missing.
    """
    images = open_captioned_images(config, image_size=1)
    others = {(r.key, r.file, r.span): fields for r, fields in find_entries(config, ReadReport())}
    columns = set(map(plain_name, config.caption_columns))
    pictures = [
        (record, dict(_plain(others[record.key, record.file, record.span], columns)))
        for record in images.records
    ]
    return pictures, images.report


def facts(record: Record, fields: Mapping[str, object]) -> dict[str, object]:
    """Key, captions, class and other metadata, under the names that the readers take."""
    captions = list(record.captions)
    texts = {"caption": captions[0]} if len(captions) == 1 else {"captions": captions}
    label = {} if record.label is None else {"label": record.label}
    return {"key": record.key, **(texts if captions else {}), **label, **fields}


def _plain(fields: Mapping[str, object], columns: set[str]) -> Iterator[tuple[str, object]]:
    """Metadata that is no caption and has its place in a line of JSON."""
    for name, value in fields.items():
        several = value if isinstance(value, list) else [value]
        usable = all(isinstance(one, (str, int, float)) for one in several)
        known = plain_name(name) in (TAKEN | columns)
        if usable and several != [""] and not known:
            yield name, value
