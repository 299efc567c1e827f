"""What the readers find: one record an image, and an account of what they had to leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
CAPTION_FIELDS = ("captions", "caption", "text")
LISTED = 5


class BadFilesError(ValueError):
    """Too many files of a data set cannot be read; the message names some of them."""


class PictureRows(Protocol):
    """Encoded images by row; loader processes receive it pickled."""

    def read_bytes(self, row: int) -> bytes:
        """The encoded image of a row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Where one image lies, and what is known of it."""

    key: str
    """Unique name in the data set."""
    captions: tuple[str, ...]
    """Without the empty ones; none where the caption is absent."""
    label: str | None
    """Name of the class."""
    file: Path
    """The image itself, or the tar shard that holds it."""
    span: tuple[int, int] | None = None
    """Offset and length inside a shard, in bytes; with ``rows`` the row and 1."""
    rows: PictureRows | None = None
    """A table of columns that holds the image, in place of a shard."""

    def read_bytes(self) -> bytes:
        """The encoded image."""
        if self.rows is not None and self.span is not None:
            return self.rows.read_bytes(self.span[0])
        with self.file.open("rb") as stream:
            if self.span is None:
                return stream.read()
            offset, length = self.span
            stream.seek(offset)
            return stream.read(length)


Entry = tuple[Record, Mapping[str, object]]
"""A record and the metadata that ``where`` can ask for."""


@dataclass(kw_only=True)
class ReadReport:
    """What was read and what was left out; ``bad`` grows while images are read."""

    images: int = 0
    """Records kept."""
    sided: int = 0
    """Captions that say left or right, where ``data.flip`` leaves their images as they are."""
    filtered: int = 0
    """Records that ``where`` left out."""
    without_caption: int = 0
    """Kept records whose caption is missing or empty."""
    unlisted: int = 0
    """Image files that no row of the folder's table names; left out."""
    duplicates: list[str] = field(default_factory=list)
    """Keys that came again; the first holds."""
    truncated: list[str] = field(default_factory=list)
    """Shards that end too early; read up to there."""
    pictureless: int = 0
    """Images that a well-known set describes but that are not there."""
    malformed: dict[str, str] = field(default_factory=dict)
    """Image of each row that has more fields than the table has columns, and where; left out."""
    missing: dict[str, str] = field(default_factory=dict)
    """Key of each image that is named but does not exist, and who names it."""
    bad: dict[str, str] = field(default_factory=dict)
    """Key and reason of each image that could not be read."""

    def add(self, other: ReadReport, *, prefix: str) -> None:
        """Count what ``other`` counts, with ``prefix`` before its keys."""
        self.unlisted += other.unlisted
        self.duplicates += [prefix + key for key in other.duplicates]
        self.truncated += [prefix + name for name in other.truncated]
        self.missing.update({prefix + key: reason for key, reason in other.missing.items()})

    def check_share(self, max_share: float) -> None:
        """Refuse data of which too much is lost.

        Raises:
            BadFilesError: over ``max_share`` of all images named are missing or unreadable.
        """
        lost = {**self.missing, **self.malformed, **self.bad}
        named = self.images + len(self.missing) + len(self.malformed)
        if len(lost) > max_share * named:
            raise BadFilesError(
                f"{len(lost)} of {named} images cannot be read, over data.max_bad_share ="
                f" {max_share:g}: {_some(lost)}; repair or remove them, or raise the share"
            )

    def summary(self) -> str:
        """One line of counts, naming the first few files of each kind."""
        counts = {
            "without a caption": self.without_caption,
            "captions say left or right (their images are not mirrored)": self.sided,
            "left out by data.where": self.filtered,
            "not in the table": self.unlisted,
            "described but not there": self.pictureless,
        }
        named = {
            "duplicate keys": dict.fromkeys(self.duplicates, ""),
            "truncated shards": dict.fromkeys(self.truncated, ""),
            "missing": self.missing,
            "rows with too many fields": self.malformed,
            "unreadable": self.bad,
        }
        parts = [f"{self.images} images"]
        parts += [f"{count} {what}" for what, count in counts.items() if count]
        parts += [f"{len(keys)} {what}: {_some(keys)}" for what, keys in named.items() if keys]
        return "; ".join(parts)


def clean_captions(texts: object) -> tuple[str, ...]:
    """The captions of one string, a list of them, or None, stripped, without empty ones."""
    several = texts if isinstance(texts, list) else [texts]
    return tuple(text for text in (str(t).strip() for t in several if t is not None) if text)


def field_captions(fields: Mapping[str, object]) -> tuple[str, ...]:
    """The captions among metadata: under ``captions``, ``caption`` or ``text``."""
    name = next((name for name in CAPTION_FIELDS if name in fields), None)
    return () if name is None else clean_captions(fields[name])


def _some(reasons: Mapping[str, str]) -> str:
    names = [
        f"{key} ({reason})" if reason else key for key, reason in islice(reasons.items(), LISTED)
    ]
    return ", ".join(names) + (", ..." if len(reasons) > LISTED else "")
