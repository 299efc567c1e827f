"""Image folders: a table of captions, sidecar text files, class sub-folders."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from textok.data.records import (
    IMAGE_SUFFIXES,
    Entry,
    Record,
    Report,
    clean_captions,
    field_captions,
)

TABLES = ("metadata.jsonl", "metadata.csv", "captions.csv")


def find_files(root: Path) -> list[str]:
    """All images and tables under ``root`` but hidden ones, relative to it, sorted."""
    found = []
    seen = set()
    for folder, children, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a parent would never end
            children.clear()
            continue
        seen.add(real)
        children[:] = sorted(child for child in children if not child.startswith("."))
        inside = Path(folder).relative_to(root)
        found += [
            (inside / name).as_posix()
            for name in names
            if name in TABLES or (is_image(name) and not name.startswith("."))
        ]
    return sorted(found)


def is_image(name: str) -> bool:
    """By its suffix."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def read_sidecars(root: Path, images: list[str]) -> Iterator[Entry]:
    """Captions from ``NAME.txt`` beside each image, one a line; labels from the sub-folders.

    The label is the first sub-folder's name, provided that no image lies in ``root`` itself, and
    that the sub-folders are no shards of img2dataset, which writes their tables beside them.
    """
    shards = {path.stem for path in root.glob("*.parquet")}
    labelled = all("/" in name and name.split("/")[0] not in shards for name in images)
    for name in images:
        sidecar = (root / name).with_suffix(".txt")
        text = ""
        if sidecar.is_file():
            text = sidecar.read_text(encoding="utf-8-sig", errors="replace")
        yield (
            Record(
                key=name,
                captions=clean_captions(text.splitlines()),
                label=name.split("/")[0] if labelled else None,
                file=root / name,
            ),
            {},
        )


def read_table(root: Path, table: Path, images: list[str], report: Report) -> Iterator[Entry]:
    """One image for each ``file_name`` of the table; several rows give several captions.

    The fields of an image are those of its first row.

    Raises:
        ValueError: a row that cannot be read or has no ``file_name``.
    """
    on_disk = set(images)
    found: dict[str, Entry] = {}
    for line, fields in _rows(table):
        name = fields.get("file_name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"{table} line {line}: no file_name; each row needs one")
        label = fields.get("label")
        if name in found:
            record, first = found[name]
            several = (*record.captions, *field_captions(fields))
            found[name] = (replace(record, captions=several), first)
        elif name in on_disk or (root / name).is_file():
            record = Record(
                key=str(fields.get("key") or name),
                captions=field_captions(fields),
                label=None if label is None or label == "" else str(label),
                file=root / name,
            )
            found[name] = (record, fields)
        else:
            report.missing[name] = f"{table.name} line {line}"
    report.unlisted = len(on_disk - found.keys())
    yield from found.values()


def _rows(table: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """The rows of a CSV or JSON-lines file, with their line numbers."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            if table.suffix == ".csv":
                reader = csv.DictReader(stream)
                for row in reader:
                    yield reader.line_num, dict(row)
                return
            for line, text in enumerate(stream, start=1):
                if not text.strip():
                    continue
                fields = json.loads(text)
                if not isinstance(fields, dict):
                    raise ValueError(f"{table} line {line}: a JSON object is needed")
                yield line, fields
    except json.JSONDecodeError as error:
        raise ValueError(f"{table} line {line}: no JSON ({error.msg}); repair the line") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} cannot be read: {error}; save it as UTF-8 text") from error
