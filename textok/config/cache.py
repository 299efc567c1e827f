"""Where textok keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``textok`` in ``$XDG_CACHE_HOME``, or in ``.cache`` of the user's home.

    It need not exist, nor be one that can be written. A user without a name has "/" as home where
    ``$HOME`` is not set, as in containers.
    """
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(named) if named else Path.home() / ".cache") / "textok"
    except RuntimeError:
        return Path("/.cache/textok")
