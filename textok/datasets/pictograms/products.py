"""Pictograms of products with names like those of a catalogue: the images that textok shows."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from PIL import Image

from textok.datasets.pictograms.files import licences_text
from textok.datasets.pictograms.packages import PACKAGES
from textok.runtime.files import replace_folder, write_text

SIDE = 128
SHARE = 0.8
"""Of the side that the drawing fills: photographs of products have a margin too."""
PRODUCTS = {
    "noto-1f457": "women blue dress",
    "fluent-3d-1f392": "pink backpack",
    "noto-1f576": "black sunglasses",
    "twemoji-231a": "men black watch",
    "noto-1f460": "women red heels",
    "noto-1f45e": "men brown formal shoes",
    "fluent-flat-1f455": "green tshirt",
    "noto-1f461": "brown women sandal",
    "noto-1f456": "blue jeans",
    "noto-1f45f": "men blue sports shoes",
    "noto-1f45c": "brown women handbag",
    "noto-1fa74": "blue flip flops",
    "noto-231a": "men brown watch",
    "twemoji-1f45c": "women purple handbag",
    "noto-1f97b": "green saree",
    "noto-1f455": "light blue tshirt",
}
"""Captions by key, in the order in which they are shown."""


def make_products(data: Path, out: Path) -> None:
    """Cut the images of ``PRODUCTS`` out of a build, those that it left out too.

    Args:
        data: a folder that `build_pictograms` finished, with its .build.
        out: replaced if it exists; gets a metadata.jsonl and WebP files of ``SIDE`` pixels.

    Raises:
        ValueError: ``data`` lacks an image.
    """
    found = {path.stem: path for path in data.rglob("*.webp")}
    missing = sorted(set(PRODUCTS) - set(found))
    if missing:
        raise ValueError(f"{data}: has no {missing[0]}.webp; build the pictograms there first")
    licences = {package.style: package.licence for package in PACKAGES}
    scratch = out.with_name(f".writing-{out.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    lines = []
    for number, (key, caption) in enumerate(PRODUCTS.items(), start=1):
        name = f"{number:02d}-{caption.replace(' ', '-')}.webp"
        _on_white(found[key]).save(scratch / name, lossless=True, quality=100)
        style = key.rpartition("-")[0]
        row = {"file_name": name, "caption": caption, "key": name.removesuffix(".webp")}
        row |= {"pictogram": key, "style": style, "licence": licences[style]}
        lines.append(json.dumps(row) + "\n")
    write_text(scratch / "metadata.jsonl", "".join(lines))
    shown = {key.rpartition("-")[0] for key in PRODUCTS}
    packages = [package for package in PACKAGES if package.style in shown]
    write_text(scratch / "LICENSES.md", licences_text(packages))
    replace_folder(scratch, out)


def _on_white(path: Path) -> Image.Image:
    """A drawing in the middle of a white square."""
    inner = round(SHARE * SIDE)
    picture = Image.open(path).convert("RGB").resize((inner, inner), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (SIDE, SIDE), "white")
    square.paste(picture, ((SIDE - inner) // 2,) * 2)
    return square


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of a finished build")
    parser.add_argument("out", type=Path, help="folder of the images, replaced if it exists")
    arguments = parser.parse_args()
    make_products(arguments.data, arguments.out)
