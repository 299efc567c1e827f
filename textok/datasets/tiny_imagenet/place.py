"""The files of a data set as published: in a folder, or in the zip that was downloaded."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from textok.config.check import require

IGNORED = "__MACOSX/"
DEEP = 3
"""Folders down that the set may lie in a folder; in a zip anywhere."""


class Place(Protocol):
    """Files by their path inside, with ``/`` between folders."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file."""
        ...

    def read(self, name: str) -> bytes:
        """Raises OSError for a file that is gone or damaged."""
        ...


@dataclass(frozen=True, kw_only=True)
class FolderPlace:
    """Files below ``root``."""

    root: Path
    sizes: Mapping[str, int]

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()


@dataclass(frozen=True, kw_only=True)
class ZipPlace:
    """Files below ``prefix`` of an open archive."""

    archive: zipfile.ZipFile
    prefix: str
    sizes: Mapping[str, int]

    def read(self, name: str) -> bytes:
        try:
            return self.archive.read(self.prefix + name)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise OSError(f"damaged in the zip: {error}") from error


def open_place(source: Path, marker: str) -> Place:
    """The folder or zip ``source``, from the level on at which the file ``marker`` lies.

    A zip stays open while the place is used.

    Raises:
        ValueError: neither a folder nor a zip, or no ``marker`` in it.
    """
    if source.is_dir():
        root = _nearest(source, marker)
        require(root is not None, f"{source}: has no {marker}; is it unpacked as published?")
        assert root is not None
        return FolderPlace(root=root, sizes=_folder_sizes(root))
    require(source.is_file(), f"{source}: no such file or folder")
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{source}: is no whole zip file ({error}); download it again") from error
    files = {
        info.filename: info.file_size
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith(IGNORED)
    }
    marked = [name for name in files if name == marker or name.endswith(f"/{marker}")]
    require(bool(marked), f"{source}: has no {marker}; is it the zip as published?")
    prefix = min(marked, key=lambda name: (name.count("/"), name)).removesuffix(marker)
    sizes = {n.removeprefix(prefix): size for n, size in files.items() if n.startswith(prefix)}
    return ZipPlace(archive=archive, prefix=prefix, sizes=sizes)


def _nearest(source: Path, marker: str) -> Path | None:
    """The folder that ``marker`` lies in; of several the highest, then the first by name."""
    level = [source]
    for _ in range(DEEP + 1):
        for folder in level:
            if (folder / marker).is_file():
                return folder
        level = [child for folder in level for child in sorted(folder.iterdir()) if child.is_dir()]
    return None


def _folder_sizes(root: Path) -> dict[str, int]:
    """Of every file below; links to nowhere are left out."""
    sizes = {}
    folders = [""]
    while folders:
        inside = folders.pop()
        for entry in os.scandir(root / inside):
            if entry.is_dir():
                folders.append(f"{inside}{entry.name}/")
            elif entry.is_file():
                sizes[inside + entry.name] = entry.stat().st_size
    return sizes
