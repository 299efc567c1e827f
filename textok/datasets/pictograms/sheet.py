"""A contact sheet: concepts that every style draws, styles side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image, ImageDraw

from textok.datasets.pictograms.captions import share
from textok.datasets.pictograms.packages import STYLES
from textok.datasets.pictograms.pictures import Picture
from textok.runtime.sheet import save_picture

TILE, GAP, HEADING = 64, 4, 14
COLUMNS, BANDS = 20, 4


def write_sheet(path: Path, pictures: Iterable[Picture], files: Mapping[str, Path]) -> None:
    """Draw up to 80 concepts in 4 bands, one row a style and one column a concept, as PNG.

    Core images alone are shown, and first the concepts that most styles draw.

    Args:
        files: the file of every image by key.
    """
    keys: dict[str, dict[str, str]] = {}
    for picture in pictures:
        if picture.core:
            keys.setdefault(picture.code, {})[picture.style] = picture.key
    order = sorted(keys, key=lambda code: (-len(keys[code]), share(f"sheet {code}")))
    cell, band = TILE + GAP, len(STYLES) * (TILE + GAP) + HEADING
    sheet = Image.new("RGB", (COLUMNS * cell + GAP, BANDS * band), "#dddddd")
    pen = ImageDraw.Draw(sheet)
    for b in range(BANDS):
        pen.text((GAP, b * band + 1), f"rows: {', '.join(STYLES)}", fill="black")
    for i, code in enumerate(order[: COLUMNS * BANDS]):
        left, top = GAP + i % COLUMNS * cell, i // COLUMNS * band + HEADING
        for row, style in enumerate(STYLES):
            if style in keys[code]:
                with Image.open(files[keys[code][style]]) as drawn:
                    tile = drawn.resize((TILE, TILE), Image.Resampling.LANCZOS)
                sheet.paste(tile, (left, top + row * cell))
    save_picture(sheet, path)
