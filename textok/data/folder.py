"""What lies in a folder: its images, and the files that may hold their captions."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from textok.data.formats import IMAGE_SUFFIXES, looks_like_image, reads
from textok.data.report import ReadReport
from textok.runtime.untrusted import regular_file

TABLES = ("metadata.jsonl", "metadata.csv", "captions.csv")
"""Tables that are read strictly: a row that cannot be is an error."""
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".txt", ".token")
SIDECAR_SUFFIXES = (".txt", ".caption", ".text", ".cap", ".json")
"""Of captions beside an image, the most likely first."""
PREVIEWS = ("@eaDir", "__MACOSX", ".thumbnails")
"""Folders that programs keep thumbnails and the like in."""
BINS = frozenset("#recycle @recycle $recycle.bin #snapshot @recently-snapshot lost+found".split())
"""Folders of deleted and former files, in lower case: left out as hidden ones are."""
PICTURE_FOLDERS = frozenset(
    "image images img imgs picture pictures photo photos jpg jpeg jpegs png jpegimages data dataset"
    " train2014 train2017 val2014 val2017 flicker8k_dataset flickr30k_images flickr30k-images"
    "".split()
)
"""Names of folders that are no classes."""


@dataclass(frozen=True, kw_only=True)
class FolderFiles:
    """The files below ``root``, relative to it and sorted, without hidden ones."""

    root: Path
    images: Sequence[str]
    """Those that can be read here."""
    others: Sequence[str]
    thumbnails: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    """Images that nothing installed reads, by suffix."""

    @property
    def sidecars(self) -> list[str]:
        """Files that could be captions of one image each."""
        return [name for name in self.others if suffix_of(name) in SIDECAR_SUFFIXES]

    @property
    def tables(self) -> list[str]:
        """Files that could hold the captions of many images."""
        return [name for name in self.others if suffix_of(name) in TABLE_SUFFIXES]

    def below(self, folder: str) -> FolderFiles:
        """The files of a sub-folder."""
        head = f"{folder}/"

        def inside(names: Sequence[str]) -> list[str]:
            return [name.removeprefix(head) for name in names if name.startswith(head)]

        return FolderFiles(
            root=self.root / folder, images=inside(self.images), others=inside(self.others)
        )

    def tell(self, report: ReadReport) -> None:
        """Add what is left out to the report."""
        report.thumbnails += self.thumbnails
        for suffix, count in self.formats.items():
            report.formats[suffix] = report.formats.get(suffix, 0) + count


def list_folder(root: Path, *, without: Sequence[Path] = ()) -> FolderFiles:
    """Walk through a folder, but not ``without``; links are followed, not round in circles."""
    images: list[str] = []
    others: list[str] = []
    formats: dict[str, int] = {}
    thumbnails = 0
    for folder, names in _walk(root, without):
        inside = Path(folder).relative_to(root)
        for name in names:
            path = (inside / name).as_posix()
            suffix = suffix_of(name)
            if any(part in PREVIEWS for part in inside.parts):
                thumbnails += suffix in IMAGE_SUFFIXES
            elif suffix in IMAGE_SUFFIXES and not reads(suffix):
                formats[suffix] = formats.get(suffix, 0) + 1
            elif suffix in IMAGE_SUFFIXES or _unnamed_image(Path(folder) / name, suffix):
                images.append(path)
            else:
                others.append(path)
    return FolderFiles(
        root=root,
        images=sorted(images),
        others=sorted(others),
        thumbnails=thumbnails,
        formats=dict(sorted(formats.items())),
    )


def is_image(name: str) -> bool:
    """By its suffix."""
    return suffix_of(name) in IMAGE_SUFFIXES


def suffix_of(name: str) -> str:
    """The last suffix of a file's name, in lower case."""
    return PurePosixPath(name).suffix.lower()


def printable(name: str) -> str:
    """A file's name as a key: bytes that are not UTF-8 are written out, as ``caf\\xe9.png``."""
    try:
        data = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair, as JSON can write it
        data = name.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def is_hidden(name: str) -> bool:
    """Whether a file or a folder of that name is left out, with all that is in it."""
    return name.startswith(".") or name.casefold() in BINS


def is_picture_folder(name: str) -> bool:
    """A folder that holds the images of all classes."""
    return name.casefold() in PICTURE_FOLDERS


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _walk(root: Path, without: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    seen = {os.path.realpath(folder) for folder in without}
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        real = os.path.realpath(folder)
        if real in seen:  # a link to a parent would never end
            continue
        seen.add(real)
        names: list[str] = []
        children: list[str] = []
        with suppress(OSError), os.scandir(folder) as entries:  # a folder that may not be read
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if is_folder(entry):
                    children.append(entry.path)
                elif not _is_special(entry):
                    names.append(entry.name)
        yield folder, names
        folders += sorted(children, reverse=True)


def _is_special(entry: os.DirEntry[str]) -> bool:
    """A pipe, a socket or a device, which may be read for ever; an image is left to its reader."""
    try:
        return not (entry.is_file() or is_image(entry.name) or stat.S_ISREG(entry.stat().st_mode))
    except OSError:  # of a link to nothing its reader tells
        return False


def _unnamed_image(path: Path, suffix: str) -> bool:
    """An image without a suffix, or with a number for one (``Track 2.0``)."""
    if suffix and not suffix[1:].isdigit():
        return False
    try:
        with regular_file(path).open("rb") as stream:
            return looks_like_image(stream.read(16))
    except (OSError, ValueError):
        return False
