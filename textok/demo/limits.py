"""Limits on user input: how many, how long, and files that are no images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from PIL import Image

from textok.config.check import require, require_range
from textok.data.pixels import BadImageError, decode

T = TypeVar("T", bound=str)

UPLOAD_BYTES = 20_000_000
"""Of one uploaded file."""
REQUEST_BYTES = 100_000
"""Of the words and numbers of one request."""
PIXELS = 25_000_000
"""A picture with more pixels to decode is refused; a JPEG is decoded at a fraction of its size."""
CHARACTERS = 1000
"""Of a prompt or a caption."""
PICTURES = 16
"""Drawn by one request: one batch, so that each can be drawn again from its note."""
SAMPLES = 8
"""Of a decoder that samples, made of one picture's tokens."""
STEPS = 250
GUIDANCE = 20.0
TEMPERATURE = 100.0
SEEDS = 2**31 - 1
CHOICES = 5
"""Step numbers, or guidance scales, of a grid."""
BETWEEN = 9
"""Pictures from one picture's tokens to another's, both included."""
WAITING = 32
"""Requests in the queue, the one at work included; further ones are refused."""
KEPT_SECONDS = 900
"""Uploads and drawn files are deleted after this."""
DELETED_SECONDS = 1200
"""They are gone by then: the page looks for them every third of ``KEPT_SECONDS``."""

FOLDER_BYTES = 1_000_000_000
"""Of all uploads and drawn files together."""
UPLOAD_BYTES_EACH = 200_000_000
"""Of one visitor's uploads that are kept."""
UPLOAD_FILES = 16
"""Files in one upload."""
UPLOADS, UPLOADS_EACH = 12, 4
"""Uploads that arrive at once, in all and from one visitor: they are held in memory meanwhile."""
REQUESTS, REQUESTS_EACH = 256, 128
"""Requests at work at once, in all and of one visitor; an open page has one or two of them."""
CONNECTIONS = 512
"""Open at once; fewer where the system allows fewer files."""
HEAD_SECONDS = 10
"""Until the head of a request has arrived."""
CALL_SECONDS = 10
"""Until the words and numbers of a request have arrived."""
UPLOAD_SECONDS = 120
"""Until an upload has arrived."""
LOGINS = 10
"""Attempts to log in that a visitor has in a minute."""
SESSIONS = 100
"""Visits that are remembered; the oldest are forgotten first."""
UNREAD = 64
"""Results that nobody has fetched yet, of all visits together."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def read_picture(path: Path | str, *, size: int) -> tuple[Image.Image, str]:
    """An uploaded picture for a model of ``size`` pixels, and a remark on it, "" where none.

    Raises ValueError, one line, for a file that is too large, no picture, or damaged.
    """
    path = Path(path)
    require(path.is_file(), "this picture is not kept any longer: upload it again")
    length = path.stat().st_size
    require(
        length <= UPLOAD_BYTES,
        f"the file has {length / 1e6:.0f} MB: at most {UPLOAD_BYTES / 1e6:.0f} MB are taken",
    )
    data = path.read_bytes()
    try:
        animated = _check_header(data, size=size)
        picture = decode(data, size=size)
    except BadImageError as error:
        raise ValueError(f"this picture cannot be read ({error})") from None
    return picture, "an animation: its first picture is taken" if animated else ""


def checked_text(text: object, what: str) -> str:
    """``text`` without blanks around it. Raises ValueError for one that is too long, or is none."""
    require(text is None or isinstance(text, str), f"the {what} is no text")
    words = str(text or "").strip()
    require(
        len(words) <= CHARACTERS,
        f"the {what} has {len(words):,} characters: at most {CHARACTERS:,} are taken",
    )
    return words


def checked_number(value: object, what: str, low: float, high: float) -> float:
    """A number in [low, high]. Raises ValueError for anything else."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    require(good, f"{what}: give a number from {low:g} to {high:g}")
    assert isinstance(value, int | float)
    require_range(what, value, low, high)
    return value


def checked_whole(value: object, what: str, low: int, high: int) -> int:
    """A whole number in [low, high]. Raises ValueError for anything else."""
    number = checked_number(value, what, low, high)
    require(number == int(number), f"{what} is {number}: it must be a whole number")
    return int(number)


def checked_list(text: object, what: str, low: float, high: float) -> list[float]:
    """A few numbers out of "1, 2, 4". Raises ValueError for another text and too many numbers."""
    words = checked_text(text, what).replace(",", " ").split()
    require(0 < len(words) <= CHOICES, f"{what}: give 1 to {CHOICES} numbers, as in 2, 4, 8")
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise ValueError(
            f"{what}: '{' '.join(words)}' is no list of numbers like 2, 4, 8"
        ) from None
    return [checked_number(value, what, low, high) for value in values]


def checked_choice(value: object, what: str, choices: Sequence[T]) -> T:
    """The member of ``choices`` that ``value`` is. Raises ValueError where it is none."""
    require(value in choices, f"{what} '{value}' is unknown: use one of {', '.join(choices)}")
    return choices[choices.index(value)]


def _check_header(data: bytes, *, size: int) -> bool:
    """Refuse what would decode to too many pixels; says whether it is an animation."""
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise BadImageError(f"over {PIXELS:,} pixels") from None
    except Exception:  # Pillow's readers raise almost anything on damaged files
        raise BadImageError(f"not one of {', '.join(FORMATS)}" if data else "0 bytes") from None
    with image:
        image.draft(None, (2 * size, 2 * size))
        width, height = image.size
        if width * height > PIXELS:
            raise BadImageError(f"{width} x {height} pixels, at most {PIXELS:,} are taken")
        return image.format in ("GIF", "PNG", "WEBP") and getattr(image, "is_animated", False)
