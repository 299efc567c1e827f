"""The index of a tar shard: where its images lie and what its texts say."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from textok.config.data import CaptionSeparator
from textok.data.advice import may_be_captions
from textok.data.captions import clean_captions, field_captions, split_text
from textok.data.folder import SIDECAR_SUFFIXES, printable
from textok.data.formats import IMAGE_SUFFIXES
from textok.data.number_texts import NumberTexts, is_numeric
from textok.data.report import ReadReport
from textok.data.rows import parse_json
from textok.data.text_files import EncodingError, decode_text

IMAGE = "image"
TEXTS = tuple(suffix for suffix in SIDECAR_SUFFIXES if suffix != ".json")
PARTS = (IMAGE, *SIDECAR_SUFFIXES, ".cls")
COUNTS = ("void", "not_text", "empty", "numeric", "joined", "recoded", "undecodable", "unread")
"""What a :class:`ReadReport` counts of the texts."""

Span = tuple[int, int]
"""Offset and length in bytes."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One sample of a shard; ``span`` is None where it has no image."""

    key: str
    span: Span | None
    captions: tuple[str, ...]
    label: str | None
    fields: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class TarIndex:
    """All samples of a shard in their order; not ``complete`` where the file ends too early."""

    complete: bool
    members: list[Member]
    duplicates: list[str] = field(default_factory=list)
    dotted: list[str] = field(default_factory=list)
    """Images that are parts of no sample, as their names have a dot before the suffix."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    """What a :class:`ReadReport` counts of the texts."""

    def tell(self, report: ReadReport) -> None:
        """Add the counts to a report."""
        report.add(ReadReport(**self.counts), prefix="")


def scan(shard: Path, *, separator: CaptionSeparator = "auto", encoding: str = "") -> TarIndex:
    """Read the members of a shard up to its end, or to where it was cut off.

    Members with the same name up to the first dot make one sample, as in WebDataset.

    Raises:
        ValueError: the file is no tar archive.
    """
    samples: dict[str, dict[str, Span]] = {}
    duplicates: list[str] = []
    dotted: dict[str, str] = {}
    report = ReadReport()
    with shard.open("rb") as stream:
        _check_kind(shard, stream.read(512))
        files, complete = list_files(stream, 0, shard.stat().st_size)
        for name, span in files:
            if Path(name).name.startswith("."):
                continue
            kind = Path(name).name.partition(".")[2]
            key = name.removeprefix("./").removesuffix(f".{kind}")
            suffix = f".{kind.lower()}"
            part = IMAGE if suffix in IMAGE_SUFFIXES else suffix
            if part not in PARTS:
                if Path(suffix).suffix in IMAGE_SUFFIXES:
                    dotted[name] = key
                elif may_be_captions(name) and f"*{suffix}" not in report.unread:
                    report.unread.append(f"*{suffix}")
                continue
            sample = samples.setdefault(key, {})
            if part in sample:
                duplicates.append(key)
            sample.setdefault(part, span)
        texts = _Texts(
            stream=stream,
            samples=samples,
            separator=separator,
            encoding=encoding,
            report=report,
        )
        members = [texts.member(key, parts) for key, parts in samples.items()]
    return TarIndex(
        complete=complete,
        members=members,
        duplicates=list(dict.fromkeys(duplicates)),
        dotted=[name for name, key in dotted.items() if IMAGE not in samples.get(key, {})],
        counts={name: getattr(report, name) for name in COUNTS},
    )


def list_files(stream: BinaryIO, start: int, end: int) -> tuple[list[tuple[str, Span]], bool]:
    """Name and place of every whole file in these bytes, and whether all archives are whole.

    There are several where one was appended to another (``cat``). A link to a file of the archive
    has its place.
    """
    files: dict[str, Span] = {}
    several: list[tuple[str, Span]] = []
    while True:
        try:
            stream.seek(start)
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                for info in tar:
                    span = _span(info, files)
                    if span is not None and sum(span) <= end:
                        files[info.name.removeprefix("./")] = span
                        several.append((info.name, span))
                stream.seek(tar.offset)
                # An empty block ends every archive; tarfile also stops at the end of the file or
                # at a damaged header, without a word.
                if stream.read(512) != bytes(512):
                    return several, False
        except tarfile.TarError:
            return several, False
        start = _after_padding(stream, end)
        if start < 0:
            return several, True


def _span(info: tarfile.TarInfo, files: Mapping[str, Span]) -> Span | None:
    if info.isfile():
        return info.offset_data, info.size
    if info.issym():
        target = os.path.normpath(Path(info.name).parent / info.linkname)
        return files.get(target)
    return files.get(info.linkname.removeprefix("./")) if info.islnk() else None


def _after_padding(stream: BinaryIO, end: int) -> int:
    """Where the next archive begins after the empty blocks that end one; -1 for nowhere."""
    while stream.tell() < end:
        block = stream.read(512)
        if block.count(0) < len(block):
            return stream.tell() - len(block)
    return -1


def _check_kind(shard: Path, head: bytes) -> None:
    """Raise ValueError for a file that is something else."""
    if not head.strip(b"\0"):
        return
    if head.startswith(b"\x1f\x8b"):
        raise ValueError(f"{shard} is compressed by gzip: gunzip it, shards are read at random")
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        text = head[:30].decode("ascii", "replace").strip()
        problem = (
            f"{shard} holds no image that can be read: it begins with {text!r}, fetch it again"
        )
        raise ValueError(problem) from error


@dataclass(frozen=True, kw_only=True)
class _Texts:
    """Reads what belongs to the images of a shard."""

    stream: BinaryIO
    samples: Mapping[str, Mapping[str, Span]]
    separator: CaptionSeparator
    encoding: str
    report: ReadReport

    def member(self, key: str, parts: Mapping[str, Span]) -> Member:
        fields = self._scalars(key, parts)
        label = fields.get("label")
        texts = {part: self._text(key, part, parts) for part in TEXTS if part in parts}
        words = [text for part, text in texts.items() if not self._numbers.has(part, text)]
        self.report.numeric += len(texts) - len(words)
        self.report.empty += bool(words) and not any(map(str.strip, words))
        return Member(
            key=key,
            span=parts.get(IMAGE),
            captions=self._captions(next(filter(str.strip, words), ""), fields),
            label=self._text(key, ".cls", parts).strip()
            or ("" if label is None else str(label)).strip()
            or None,
            fields=fields,
        )

    @cached_property
    def _numbers(self) -> NumberTexts:
        return NumberTexts(others=self._others)

    def _others(self, part: str) -> Iterator[str]:
        """All texts of a part."""
        untold = replace(self, report=ReadReport())
        for key, parts in self.samples.items():
            if part in parts:
                yield untold._text(key, part, parts)

    def _captions(self, text: str, fields: Mapping[str, object]) -> tuple[str, ...]:
        """Those of the text; but img2dataset's texts, repeated in its JSON, are one caption."""
        words, whole = text.split(), fields.get("caption")
        if words and isinstance(whole, str) and whole.split() == words:
            return clean_captions(" ".join(words), self.report)
        captions = split_text(text, self.separator, self.report) if words else ()
        return captions or field_captions(fields, self.report)

    def _text(self, key: str, part: str, parts: Mapping[str, Span]) -> str:
        offset, length = parts.get(part, (0, 0))
        self.stream.seek(offset)
        name = printable(f"{key}{part}")
        try:
            text, used = decode_text(self.stream.read(length), self.encoding)
        except EncodingError as error:
            self.report.undecodable[name] = str(error)
            return ""
        if used == "cp1252" and not self.encoding:
            self.report.recoded[name] = "Windows-1252"
        return text

    def _scalars(self, key: str, parts: Mapping[str, Span]) -> dict[str, object]:
        """The metadata of one sample; a damaged JSON text counts as none, a list as captions."""
        try:
            fields = parse_json(self._text(key, ".json", parts))
        except ValueError:
            return {}
        if isinstance(fields, list):
            numeric = is_numeric(fields)
            self.report.numeric += numeric
            return {} if numeric else {"captions": fields}
        pairs = fields.items() if isinstance(fields, dict) else ()
        return {name: value for name, value in pairs if not isinstance(value, dict)}
