"""Which column of a table is meant, by a usual name or by the user's."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice

FILE_NAME = "file_name"
FILE_NAMES = (
    *(FILE_NAME, "filename", "file", "image", "image_path", "image_name", "image_file", "img"),
    *("path", "filepath", "file_path", "img_path", "image_id", "id"),
)
"""Names of columns that name image files; of several the first one there holds."""
SHOWN = 12
"""Columns named in a message."""
SPLIT = "split"
"""Column that may say which split a row is of, in any case."""


@lru_cache(maxsize=4096)  # each row of a table may have its own columns, which are mostly the same
def plain_name(name: str) -> str:
    """``name`` in lower case, its words joined by ``_``: columns are compared by that."""
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())


def columns_called(wanted: Iterable[str], columns: Iterable[str]) -> list[str]:
    """Those of ``columns`` that have a ``wanted`` name, as they are written, the best first."""
    return list(_called(tuple(wanted), tuple(columns)))


@lru_cache(maxsize=4096)  # asked of each row of a table, whose columns are mostly the same
def _called(wanted: tuple[str, ...], columns: tuple[str, ...]) -> tuple[str, ...]:
    plain = {plain_name(name): name for name in reversed(columns)}
    found = (name if name in columns else plain.get(plain_name(name)) for name in wanted)
    return tuple(name for name in dict.fromkeys(found) if name is not None)


def column_called(wanted: Iterable[str], columns: Iterable[str]) -> str | None:
    """The best of these; None where there is none."""
    return next(iter(columns_called(wanted, columns)), None)


def named_column(name: str, columns: Collection[str], setting: str) -> str:
    """The column that the user calls ``name``. Raises ValueError, naming the others."""
    found = column_called([name], columns)
    if found is None:
        raise ValueError(f"no column {name} of {setting}{other_columns(name, columns)}")
    return found


def without_captions(wanted: Collection[str], columns: Collection[str]) -> str:
    """What is in a table whose ``wanted`` columns gave no captions, or that has none of them."""
    if wanted:
        return f"nothing in {' and '.join(wanted)}"
    shown = ", ".join([*islice(columns, SHOWN), *(["..."] if len(columns) > SHOWN else [])])
    return f"its columns are {shown}; data.caption_columns names those of captions"


def other_columns(name: str, columns: Collection[str]) -> str:
    """The end of a message: the column that is nearest to ``name``, and all that there are."""
    plain = {plain_name(known): known for known in columns}
    close = get_close_matches(plain_name(name), plain, n=1)
    hint = f"did you mean '{plain[close[0]]}'? " if close else ""
    return f"; {hint}there are {', '.join(columns) or 'none'}"
