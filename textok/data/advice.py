"""What a user is told of a folder: which files were not read, and what to do about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from textok.data.folder import (
    SIDECAR_SUFFIXES,
    TABLE_SUFFIXES,
    TABLES,
    FolderFiles,
    printable,
    suffix_of,
)
from textok.data.formats import IMAGE_SUFFIXES, needs
from textok.data.number_texts import are_numbers, are_shapes
from textok.data.report import ReadReport
from textok.data.text_files import read_text

ARCHIVES = (".zip", ".gz", ".tgz", ".7z", ".rar", ".zst", ".xz", ".bz2")
WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
CURES = {
    ".tar": "in sub-folders: give that one as data.path, or a pattern",
    ".parquet": "without images; have img2dataset write with --output_format webdataset",
    ".tfrecord": "have img2dataset write with --output_format webdataset",
}
PLAIN_TEXTS = frozenset(
    "readme license licence notice copying requirements summary citation version classes".split()
)
"""Names of texts that come with data sets and hold no captions."""
LOOKED_AT = 8
"""Texts of a folder that tell whether they are captions."""
LARGEST = 1 << 20
"""Bytes of a text about one image."""


def unread_captions(
    files: FolderFiles, around: FolderFiles | None, used: Container[Path], report: ReadReport
) -> list[str]:
    """Files in a folder, or around a split, that look like captions and are not ``used``.

    Folders of texts that are numbers, as YOLO's ``labels``, do not: the ``report`` counts those of
    the images.
    """
    named = [
        (name, each.root / name)
        for each in filter(None, (files, around))
        for name in each.others
        if each.root / name not in used and may_be_captions(name)
    ]
    folders: dict[Path, list[Path]] = defaultdict(list)
    for _, path in named:
        folders[path.parent].append(path)
    numeric = {folder for folder, paths in folders.items() if _are_numbers(paths)}
    stems = {PurePosixPath(image).stem for image in files.images}
    report.numeric += sum(path.stem in stems for n in numeric for path in folders[n])
    others = [printable(name) for name, path in named if path.parent not in numeric]
    return list(dict.fromkeys(others))


def _are_numbers(paths: Sequence[Path]) -> bool:
    """Whether the texts of a folder are numbers, by the first that are not empty."""
    texts = filter(str.strip, map(_short_text, paths))
    first = list(islice(texts, LOOKED_AT))
    return bool(first) and all(are_shapes(text) or are_numbers(text) for text in first)


def _short_text(path: Path) -> str:
    """A text that could be about one image; no number for any other file."""
    if suffix_of(path.name) not in SIDECAR_SUFFIXES or not path.is_file():
        return "?"
    if path.stat().st_size > LARGEST:
        return "?"
    return read_text(path, encoding="", name="", report=ReadReport())


def require_images(files: FolderFiles) -> None:
    """Raise ValueError for a folder without images, naming what is there in their place.

    A folder with a table and nothing else is left to that: its rows name what is missing.
    """
    if files.images:
        return
    kinds = Counter(suffix_of(name) for name in files.others)
    there = [f"{n} {suffix} files ({_cure(suffix)})" for suffix, n in files.formats.items()]
    there += [f"{n} {suffix} ({_cure(suffix)})" for suffix, n in kinds.items() if _cure(suffix)]
    if there or not any(name in TABLES for name in files.others):
        told = f"; it has {', '.join(there)}" if there else ""
        raise ValueError(
            f"{files.root} has no images, no .tar shards and none of {', '.join(TABLES)}{told}"
        )


def is_strict(name: str) -> bool:
    """Whether a file is one of ``TABLES``, in any folder."""
    return PurePosixPath(name).name in TABLES


def conversion(name: str) -> str:
    """What makes a table of a file that is none as it is; empty for others."""
    if suffix_of(name) in WORKBOOKS:
        return "a workbook: save its sheet as CSV"
    packed = suffix_of(name) in ARCHIVES and suffix_of(PurePosixPath(name).stem) in TABLE_SUFFIXES
    return "compressed: unpack it" if packed else ""


def may_be_captions(name: str) -> bool:
    """Whether a file that is not read may hold captions, by its name alone."""
    whole = PurePosixPath(name).name.casefold()
    if whole.startswith("~$"):  # a note of Excel's beside a workbook that is open
        return False
    if conversion(whole) or any(word in whole for word in ("caption", "prompt", "description")):
        return True
    stem = PurePosixPath(whole).stem
    return suffix_of(name) in (*TABLE_SUFFIXES, *SIDECAR_SUFFIXES) and stem not in PLAIN_TEXTS


def _cure(suffix: str) -> str:
    """What to do about files of a kind; empty where they are none of captioned images."""
    if suffix in IMAGE_SUFFIXES:
        return f"install {needs(suffix)} to read them"
    if suffix in ARCHIVES:
        return "unpack it; shards must be .tar without compression"
    return CURES.get(suffix, "")
