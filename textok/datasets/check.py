"""What would be read of a set of captioned images, before anything is made of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from PIL import Image

from textok.config.datasets import CheckConfig
from textok.data.detect import own_splits
from textok.data.images import CaptionedImages, open_captioned_images
from textok.data.mixture import parse_mixture
from textok.data.order import evenly_spaced
from textok.data.pixels import BadImageError
from textok.data.report import BadFilesError
from textok.runtime.counter import counter
from textok.runtime.png import require_own
from textok.runtime.sheet import picture_sheet, save_picture

CELL = 128
SHOWN = 3
"""Captions of an image on the sheet."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """All splits together."""

    images: int
    with_captions: int
    captions: int
    classes: int
    splits: Mapping[str, int]
    """Images by split; empty where the set has none."""
    left_out: Mapping[str, int]
    """Images that are not read, by the reason."""
    messages: Sequence[str]


def check_data(config: CheckConfig) -> str:
    """What ``textok data check`` prints: lines, or one JSON object.

    Writes the sheet. Raises ValueError for data that cannot be read at all, and for a sheet in the
    place of another file.
    """
    if config.sheet is not None:
        require_own(config.sheet)
    data = replace(config.data, max_bad_share=1)
    splits = _splits(config)
    opened = {}
    messages: list[str] = []
    for name in splits or (data.split,):
        images = open_captioned_images(replace(data, split=name), image_size=CELL, quiet=True)
        if config.every:
            _decode_all(images, shown=not config.json)
        opened[name] = images
        messages += [f"{name}: {line}" if name else line for line in images.report.messages()]
    if config.sheet is not None:
        _save_sheet(list(opened.values()), rows=config.rows, path=config.sheet)
    for images in opened.values():
        try:
            images.report.check_share(config.data.max_bad_share)
        except BadFilesError as error:
            messages.append(f"a training would stop: {error}")
    checked = _add_up(opened, has_splits=bool(splits), messages=messages)
    if config.json:
        return json.dumps(asdict(checked), indent=1, ensure_ascii=False)
    lines = [*checked.messages, *([str(config.sheet)] if config.sheet is not None else [])]
    return "\n".join(lines)


def _splits(config: CheckConfig) -> tuple[str, ...]:
    if config.data.split:
        return (config.data.split,)
    return () if parse_mixture(config.data.path) else own_splits(config.data)


def _add_up(
    opened: Mapping[str, CaptionedImages], *, has_splits: bool, messages: Sequence[str]
) -> Checked:
    reports = [images.report for images in opened.values()]
    left_out: Counter[str] = Counter()
    for report in reports:
        left_out.update(report.left_out())
    return Checked(
        images=sum(report.images for report in reports),
        with_captions=sum(report.images - report.without_caption for report in reports),
        captions=sum(report.captions for report in reports),
        classes=len({label for images in opened.values() for label in images.classes}),
        splits={name: len(images) for name, images in opened.items()} if has_splits else {},
        left_out=dict(left_out),
        messages=messages,
    )


def _decode_all(images: CaptionedImages, *, shown: bool) -> None:
    """Note every image that cannot be decoded."""
    with counter("decoding", total=len(images), shown=shown) as advance:
        for index, record in enumerate(images.records):
            _, reason = _decoded(images, index)
            if reason:
                images.report.bad[record.key] = reason
            advance(1)


def _decoded(images: CaptionedImages, index: int) -> tuple[Image.Image | None, str]:
    try:
        return images.open(index), ""
    except (BadImageError, OSError) as error:
        return None, str(error)


def _save_sheet(opened: Sequence[CaptionedImages], *, rows: int, path: Path) -> None:
    """Draw some images with their captions; those that cannot be decoded are noted."""
    pictures, texts = [], []
    for images, index in _spread(opened, rows):
        record = images.records[index]
        picture, reason = _decoded(images, index)
        if picture is None:
            images.report.bad[record.key] = reason
            continue
        pictures.append(picture)
        label = "" if record.label is None else f" ({record.label})"
        more = len(record.captions) - SHOWN
        captions = [*record.captions[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
        texts.append("\n".join([f"{record.key}{label}", *(captions or ["(no caption)"])]))
    if pictures:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet = picture_sheet({"": pictures}, texts, cell=CELL, title="What is read")
        save_picture(sheet, path, {"data check": opened[0].config.path})


def _spread(opened: Sequence[CaptionedImages], rows: int) -> Iterator[tuple[CaptionedImages, int]]:
    each = -(-rows // len(opened))
    for images in opened:
        yield from ((images, index) for index in evenly_spaced(len(images), each))
