"""What the readers find: one record an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from textok.data.folder import printable
from textok.runtime.untrusted import regular_file

NO_LABEL = frozenset(("nan", "<na>", "#n/a", "#na"))
"""What programs write for a missing value and nobody calls a class, in lower case."""


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
        """The encoded image. Raises OSError where the file is gone, or is none."""
        if self.rows is not None and self.span is not None:
            return self.rows.read_bytes(self.span[0])
        try:
            file = regular_file(self.file)
        except ValueError as error:  # a pipe or a device
            raise OSError(str(error)) from error
        with file.open("rb") as stream:
            if self.span is None:
                return stream.read()
            offset, length = self.span
            stream.seek(offset)
            return stream.read(length)


Entry = tuple[Record, Mapping[str, object]]
"""A record and the metadata that ``where`` can ask for."""


def class_name(value: object) -> str | None:
    """The class that a table or a text gives, without blanks around it; None where it gives none.

    A class may well be called ``none``, but not ``nan``.
    """
    text = "" if value is None else printable(str(value)).strip()
    return None if not text or text.casefold() in NO_LABEL else text
