"""Notes that travel inside PNG files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import PngImagePlugin

from textok.runtime.files import require_writable
from textok.runtime.untrusted import regular_file

KEY = "textok"
MOST = 1_000_000_000
"""Bytes of a PNG file."""


def png_note(note: Mapping[str, object]) -> PngImagePlugin.PngInfo:
    """``note`` as an iTXt chunk of the name ``textok``, in JSON."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, json.dumps(note, ensure_ascii=False))
    return info


def require_own(path: Path) -> None:
    """Raise ValueError where a file lies that textok did not write, OSError where none can be made.

    Called before anything is generated.
    """
    require_writable(path.parent)
    if path.exists():
        try:
            read_png_note(path)
        except (ValueError, OSError):
            raise ValueError(
                f"{path} is there already and was not written by textok: choose another place"
            ) from None


def read_png_note(path: Path) -> dict[str, Any]:
    """The note in a PNG file. Raises ValueError for another file and for a PNG without one."""
    data = regular_file(path, most=MOST).read_bytes()
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"{path}: not a PNG file")
    try:
        picture = PngImagePlugin.PngImageFile(path)
        with picture:
            text = picture.text.get(KEY)
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        raise ValueError(f"{path}: damaged ({error})") from error
    if text is None:
        raise ValueError(f"{path}: holds no note of textok; `textok generate` did not write it")
    try:
        note = json.loads(text)
    except (ValueError, RecursionError):
        note = None
    if not isinstance(note, dict):
        raise ValueError(f"{path}: its note of textok is damaged")
    return note
