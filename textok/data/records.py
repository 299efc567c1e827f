"""What the readers find: one record an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


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
