"""Images whose captions lie in a file each, beside them or in a folder of texts."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from textok.config.data import SourceConfig
from textok.data.captions import field_captions, split_text
from textok.data.folder import (
    SIDECAR_SUFFIXES,
    FolderFiles,
    is_picture_folder,
    printable,
    suffix_of,
)
from textok.data.number_texts import NumberTexts, is_numeric
from textok.data.records import Entry, Record
from textok.data.report import ReadReport
from textok.data.splits import split_in_words, split_name
from textok.data.text_files import read_text

Fields = Mapping[str, object]
TEXT_FOLDERS = re.compile(r"caption|text|txt|prompt|descri|sentence|tags?$")
"""Names of folders that hold the captions of images in a folder beside them."""


@dataclass(frozen=True, kw_only=True)
class Sidecars:
    """The captions of single images in a folder."""

    files: FolderFiles
    config: SourceConfig
    around: FolderFiles | None = None
    """Of a split: the files of the whole set but for its splits, which may be folders of texts."""
    _used: set[Path] = field(default_factory=set)

    def captions(self, image: str, report: ReadReport) -> tuple[tuple[str, ...], Fields]:
        """The captions of an image, and what else a JSON beside it says."""
        for path in self._of(image):
            name = printable(os.path.relpath(path, self.files.root))
            void = report.void
            text = read_text(path, encoding=self.config.encoding, name=name, report=report)
            if self._is_numeric(path, text):
                report.numeric += 1
                self._used.add(path)
                continue
            if path.suffix.lower() == ".json":
                fields = _fields(text)
                captions = field_captions(fields, report)
            else:
                fields = {}
                captions = split_text(text, self.config.caption_separator, report)
            empty = not text.strip("\0 \t\r\n") and name not in report.undecodable
            report.empty += empty
            absent = empty or report.void > void
            if captions or absent:
                self._used.add(path)
            if captions:
                return captions, fields
        return (), {}

    def beside(self) -> list[str]:
        """Files with the name of an image."""
        stems = {stem for image in self.files.images for stem in (_stem(image), _normal(image))}
        return [name for name in self.files.sidecars if _stem(name) in stems]

    def used(self) -> frozenset[Path]:
        """The files that captions have been read from, or that say that there are none."""
        return frozenset(self._used)

    def _is_numeric(self, path: Path, text: str) -> bool:
        suffix = path.suffix.lower()
        return is_numeric(_parsed(text)) if suffix == ".json" else self._numbers.has(suffix, text)

    @cached_property
    def _numbers(self) -> NumberTexts:
        return NumberTexts(others=self._texts)

    def _texts(self, suffix: str) -> Iterator[str]:
        """All texts with a suffix."""
        paths = (path for image in self.files.images for path in self._of(image))
        for path in paths:
            if path.suffix.lower() == suffix:
                report = ReadReport()
                yield read_text(path, encoding=self.config.encoding, name="", report=report)

    def _of(self, image: str) -> list[Path]:
        """The files of an image: beside it, ``a.txt`` or ``a.jpg.txt``; else in another folder."""
        beside = [
            name for stem in (_stem(image), _normal(image)) for name in self._by_stem.get(stem, ())
        ]
        if beside:
            beside.sort(key=lambda name: SIDECAR_SUFFIXES.index(suffix_of(name)))
            return [self.files.root / name for name in beside]
        tail = _tail(image)
        return self._apart.get(tail, []) if self._shared.get(tail) == 1 else []

    @cached_property
    def _by_stem(self) -> Mapping[str, list[str]]:
        found = defaultdict(list)
        for name in self.files.sidecars:
            found[_stem(name)].append(name)
        return found

    @cached_property
    def _apart(self) -> Mapping[str, list[Path]]:
        """Texts in folders of texts, by their path inside those; of each only where it is one.

        Around a split they may lie in a folder of its name: ``captions/train/a.txt``.
        """
        found, of_split = defaultdict(list), defaultdict(list)
        for files in filter(None, (self.files, self.around)):
            for name in files.sidecars:
                parts = PurePosixPath(_stem(name)).parts
                at = [
                    i for i, part in enumerate(parts[:-1]) if TEXT_FOLDERS.search(part.casefold())
                ]
                if not at or (files is self.around and self._is_of_another(parts[at[-1]])):
                    continue
                tail = parts[at[-1] + 1 :]
                found["/".join(tail)].append(files.root / name)
                if files is self.around and len(tail) > 1 and self._is_of_this(tail[0]):
                    of_split["/".join(tail[1:])].append(files.root / name)
        single = {tail: paths for tail, paths in of_split.items() if len(paths) == 1}
        return single | {tail: paths for tail, paths in found.items() if len(paths) == 1}

    def _is_of_this(self, folder: str) -> bool:
        split = split_in_words(folder)[0]
        own = self.files.root.name
        return folder == own or (split != "" and split == split_in_words(own)[0])

    def _is_of_another(self, folder: str) -> bool:
        """Whether a folder of texts is called after another split, as ``val_captions``."""
        own = split_in_words(self.files.root.name)[0]
        said = next(filter(None, map(split_name, re.split(r"[\W_]+", folder))), "")
        return "" != own != said != ""

    @cached_property
    def _shared(self) -> Mapping[str, int]:
        """How many images have the same path inside their folders of images."""
        return Counter(map(_tail, self.files.images))


def read_sidecars(
    sidecars: Sidecars, report: ReadReport, *, without: Container[str] = ()
) -> Iterator[Entry]:
    """A record for each image of a folder, with the captions beside it and its folder as label."""
    files = sidecars.files
    labels = folder_labels(files)
    for name in files.images:
        if name in without:
            continue
        captions, fields = sidecars.captions(name, report)
        record = Record(
            key=printable(name), captions=captions, label=labels.get(name), file=files.root / name
        )
        yield record, fields


def folder_labels(files: FolderFiles) -> dict[str, str]:
    """The class of each image: its first sub-folder, where all images lie in sub-folders.

    A folder for all, as ``images``, is no class, and neither are the shards of img2dataset, which
    writes their tables beside them.
    """
    shards = {PurePosixPath(name).stem for name in files.others if name.endswith(".parquet")}
    parts = {name: PurePosixPath(name).parts[:-1] for name in files.images}
    start = _depth_of_pictures(list(parts.values()))
    heads = {name: folders[start] for name, folders in parts.items() if len(folders) > start}
    if len(heads) < len(parts) or shards & set(heads.values()):
        return {}
    return {name: printable(head) for name, head in heads.items()}


def _depth_of_pictures(folders: Sequence[Sequence[str]]) -> int:
    """How many folders down the last one lies that holds the images of all."""
    depth = 0
    for number, several in enumerate(zip(*folders, strict=False)):
        if len(set(several)) > 1:
            break
        if is_picture_folder(several[0]):
            depth = number + 1
    return depth


def _parsed(text: str) -> object:
    """What a JSON says; None where it cannot be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _fields(text: str) -> Fields:
    found = _parsed(text)
    if isinstance(found, list):
        return {"captions": found}
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in pairs if not isinstance(value, dict)}


def _tail(image: str) -> str:
    """The path of an image inside its folder of images, without the suffix."""
    parts: Sequence[str] = PurePosixPath(_stem(image)).parts
    at = [i for i, part in enumerate(parts[:-1]) if is_picture_folder(part)]
    return "/".join(parts[at[-1] + 1 :] if at else parts)


def _stem(name: str) -> str:
    return _normal(str(PurePosixPath(name).with_suffix("")) if suffix_of(name) else name)


def _normal(name: str) -> str:
    """Accents as one character: macOS takes them apart."""
    return unicodedata.normalize("NFC", name)
