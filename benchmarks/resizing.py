"""How much the way pictures are made small moves a Frechet distance, on the same pictures.

    python -m benchmarks.resizing PICTURES --out docs/results/resizing

PICTURES is a folder of pictures. Every way makes central squares of the same files, rounded to 8
bits; the FD-EffLite0 and the PSNR are to Lanczos's, textok's own. No model is involved: this is
what two evaluations differ by that agree in everything but the resizing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from studies.command import run_command
from textok.config.check import require_range
from textok.data.pixels import adm_to_square, decode, pil_to_square, to_tensor
from textok.evaluate.markdown import markdown_table
from textok.metrics.features import load_feature_network
from textok.metrics.frechet import FeatureStatistics, frechet_distance
from textok.metrics.image import psnr
from textok.metrics.resizing import bilinear_tensorflow
from textok.runtime.counter import counter
from textok.runtime.files import write_text

BATCH = 32
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def _central(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def bicubic(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Pillow's bicubic, antialiased, of the central square."""
    return np.array(_central(image).resize((size, size), Image.Resampling.BICUBIC))


def bilinear_plain(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Bilinear of the central square, not antialiased."""
    pixels = torch.from_numpy(np.array(_central(image))).permute(2, 0, 1)[None].float()
    small = bilinear_tensorflow(pixels, size)[0].round().to(torch.uint8)
    return small.permute(1, 2, 0).numpy()


WAYS: dict[str, Callable[[Image.Image, int], NDArray[np.uint8]]] = {
    "Lanczos (`pil_to_square`)": pil_to_square,
    "ADM: box halving, then bicubic (`adm_to_square`)": adm_to_square,
    "bicubic, antialiased": bicubic,
    "bilinear, not antialiased": bilinear_plain,
}
"""The first is what the others are compared with."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Of one way, to the first."""

    way: str
    frechet: float
    psnr: float
    """dB, mean over pictures."""


def pictures_in(folder: Path, count: int) -> list[Path]:
    """``count`` pictures, evenly spaced by name. Raises ValueError where there are fewer."""
    files = sorted(f for f in folder.glob("**/*") if f.suffix.lower() in SUFFIXES)
    if len(files) < count:
        raise ValueError(f"{folder} holds {len(files)} pictures: {count} are asked for")
    return [files[place * len(files) // count] for place in range(count)]


def measure(files: list[Path], size: int) -> list[Found]:
    """Every way on all ``files``, decoded whole."""
    network = load_feature_network("efficientnet_lite0")
    statistics = {way: FeatureStatistics.empty(network.width) for way in WAYS}
    decibels: dict[str, list[float]] = {way: [] for way in WAYS}
    with counter("resizing", total=len(files), shown=True) as count:
        for start in range(0, len(files), BATCH):
            read = [decode(f.read_bytes(), size=None) for f in files[start : start + BATCH]]
            made = {
                way: to_tensor(np.stack([small(image, size) for image in read]))
                for way, small in WAYS.items()
            }
            first: Tensor = next(iter(made.values()))
            for way, images in made.items():
                batch = FeatureStatistics.of(network.extract(images))
                statistics[way] = statistics[way].merge(batch)
                decibels[way] += psnr(images, first).tolist()
            count(len(read))
    reference, *others = WAYS
    return [
        Found(
            way=way,
            frechet=frechet_distance(statistics[way], statistics[reference]),
            psnr=float(np.mean(decibels[way])),
        )
        for way in others
    ]


def main(
    pictures: tyro.conf.Positional[Path], out: Path, images: int = 300, size: int = 64
) -> None:
    """Write what the ways of resizing differ by to a table in ``out``.

    Args:
        pictures: folder of pictures.
        out: folder for resizing.md.
        images: how many, evenly spaced.
        size: pixels of a side of the results.
    """
    require_range("images", images, 2)
    require_range("size", size, 1)
    found = measure(pictures_in(pictures, images), size)
    rows = [[one.way, f"{one.frechet:.2f}", f"{one.psnr:.1f}"] for one in found]
    reference = next(iter(WAYS))
    table = markdown_table([f"to {reference}", "FD-EffLite0", "PSNR"], rows)
    head = f"# Ways of resizing\n\n{images} pictures, {size} px.\n\n"
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "resizing.md", head + "\n".join(table) + "\n")
    print("\n".join(table))


if __name__ == "__main__":
    run_command(main, "benchmarks.resizing")
