"""Names of files made of the keys of images."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from textok.data.folder import is_image

LONGEST = 100


def file_names(keys: Sequence[str], *, dots: bool = True) -> dict[str, str]:
    """A file name for each key: letters, digits, ``.``, ``_`` and ``-``, without the suffix.

    Without ``dots`` there is none in a name, as WebDataset wants it: a sample's name ends at the
    first one. Keys whose names would be equal, also without case, or too long get a part of their
    hash.
    """
    plain = {key: _safe(key, dots=dots) for key in keys}
    counts = Counter(name.casefold() for name in plain.values())
    return {
        key: name
        if counts[name.casefold()] == 1 and len(name) <= LONGEST
        else f"{name[:LONGEST]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        for key, name in plain.items()
    }


def _safe(key: str, *, dots: bool) -> str:
    stem = key.rpartition(".")[0] if is_image(key) else key
    stem = stem if dots else stem.replace(".", "_")
    return re.sub(r"^[.-]", "_", re.sub(r"[^A-Za-z0-9._-]", "_", stem)) or "_"
