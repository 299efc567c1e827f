"""Picture sheets: pictures in labelled columns, one row a picture, its caption beside it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from textok.runtime.files import atomic_write
from textok.runtime.png import png_note

INK, QUIET, PAPER = (24, 24, 24), (96, 96, 96), (255, 255, 255)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def picture_sheet(
    columns: Mapping[str, Sequence[Image.Image]],
    captions: Sequence[str] | None,
    *,
    cell: int,
    title: str | None = None,
) -> Image.Image:
    """Draw pictures in named columns, row i of each column side by side, caption i at the right.

    Pictures are fitted into ``cell`` x ``cell`` pixels (whole-number enlargements keep their
    pixels sharp). Rows grow where a caption needs it. An empty caption is printed as
    "(no caption)", a line break is kept; ``captions=None`` leaves the caption column out.
    """
    rows = len(next(iter(columns.values()), []))
    assert rows and all(len(column) == rows for column in columns.values())
    assert captions is None or len(captions) == rows

    size = max(11, cell // 9)
    font = ImageFont.load_default(size)
    gap, line = max(4, cell // 16), round(size * 1.3)
    text_width = 0 if captions is None else max(2 * cell, 14 * size)
    headings = [_wrap(name, font, cell) for name in columns]
    texts = [_wrap(text or "(no caption)", font, text_width) for text in captions or []]
    heights = [max(cell, line * len(texts[row]) if texts else 0) for row in range(rows)]

    width = gap + len(columns) * (cell + gap) + (text_width + gap if texts else 0)
    titles = [] if title is None else _wrap(title, font, width - 2 * gap)
    top = gap + line * len(titles) + (gap if titles else 0)
    first = top + line * max(len(lines) for lines in headings) + gap
    sheet = Image.new("RGB", (width, first + sum(height + gap for height in heights)), PAPER)
    draw = ImageDraw.Draw(sheet)

    _write(draw, titles, (gap, gap), font, line, INK)
    for index, (lines, column) in enumerate(zip(headings, columns.values(), strict=True)):
        x, y = gap + index * (cell + gap), first
        _write(draw, lines, (x, top), font, line, QUIET)
        for picture, height in zip(column, heights, strict=True):
            fitted = _fit(picture.convert("RGB"), cell)
            sheet.paste(fitted, (x + (cell - fitted.width) // 2, y + (cell - fitted.height) // 2))
            y += height + gap
    y = first
    for lines, height in zip(texts, heights, strict=False):
        _write(draw, lines, (gap + len(columns) * (cell + gap), y), font, line, INK)
        y += height + gap
    return sheet


def save_picture(
    picture: Image.Image, path: Path, note: Mapping[str, object] | None = None
) -> None:
    """Write a PNG, with ``note`` inside, whole or not at all."""
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=png_note(note) if note else None)


def _fit(picture: Image.Image, cell: int) -> Image.Image:
    """The picture with its longer side at ``cell``."""
    longest = max(picture.size)
    size = tuple(max(1, round(side * cell / longest)) for side in picture.size)
    whole = cell % longest == 0
    method = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return picture.resize((size[0], size[1]), method)


def _wrap(text: str, font: Font, width: int) -> list[str]:
    """Lines no wider than ``width`` pixels; a word wider than that is broken."""
    if "\n" in text:
        return [line for part in text.splitlines() for line in _wrap(part, font, width)]
    lines = [""]
    for word in _plain(text).split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _plain(text: str) -> str:
    """``text`` without accents, which Pillow's font lacks."""
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _write(
    draw: ImageDraw.ImageDraw,
    lines: Sequence[str],
    corner: tuple[int, int],
    font: Font,
    line: int,
    ink: tuple[int, int, int],
) -> None:
    for index, text in enumerate(lines):
        draw.text((corner[0], corner[1] + index * line), text, fill=ink, font=font)
