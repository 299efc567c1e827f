"""How many pictures a second ``data.cache`` gives, beside reading the same files.

    python -m benchmarks.cached_reading --data tiny-imagenet-200/train

Training batches, cut at the centre and mirrored by chance, on the device that trains. The ways take
turns, so that a busy moment meets them all, and ratios are of the same turn. Without ``--data`` the
pictures are made up by the script.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import torch

from benchmarks.cached_report import Filled, Row, write_report
from benchmarks.reading import write_images
from studies.command import as_command, read_arguments
from textok.config import DataConfig
from textok.config.check import require_range
from textok.data import CaptionedImages, open_captioned_images, train_batches
from textok.data.cache import PictureCache, fill_cache
from textok.evaluate.reconstruction import evenly
from textok.runtime.device import best_device
from textok.runtime.prefetch import prefetch

Kind = Literal["none", "ram", "device"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Pictures/s from files and from a cache: JSON and Markdown."""

    data: str = ""
    """Data set, whatever ``data.path`` can be; empty: JPEG files of 500 x 375 pixels, made up."""
    images: int = 5000
    """Pictures, evenly spaced over the data set."""
    size: int = 64
    """Pixels a side of what comes out."""
    batch: int = 256
    """Pictures a batch."""
    batches: int = 8
    """Timed batches a turn, from files; a cache is timed over ten times as many."""
    workers: tuple[int, ...] = (0, 2)
    """Loader processes of the readers of files; the last number of them fills the cache."""
    repeats: int = 7
    """Turns of each way."""
    out: Path = Path("docs/results/reading/cached")
    """Folder for cached.json and cached.md."""

    def __post_init__(self) -> None:
        for name in ("images", "size", "batch", "batches", "repeats"):
            require_range(name, getattr(self, name), 1)
        require_range("workers", min(self.workers, default=-1), 0)


def open_images(path: str, settings: Settings) -> CaptionedImages:
    """At most ``images`` pictures of the data set, evenly spaced over it."""
    config = DataConfig(path=path, split="", flip=True, workers=settings.workers[-1])
    return evenly(open_captioned_images(config, image_size=settings.size), settings.images)


def clock(
    images: CaptionedImages, cache: PictureCache | None, settings: Settings, workers: int
) -> float:
    """Seconds of a picture after the first batch, as a training gets them on its device."""
    device = best_device()
    steps = train_batches(
        images,
        global_batch=settings.batch,
        accumulate=1,
        rank=0,
        world_size=1,
        first_step=0,
        seed=0,
        workers=workers,
        cache=cache,
    )
    steps = steps if cache is None else prefetch(steps)
    next(steps)
    count = settings.batches * (1 if cache is None else 10)
    start = time.perf_counter()
    for (batch,) in islice(steps, count):
        batch.to(device)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / (count * settings.batch)


def measure(images: CaptionedImages, settings: Settings) -> tuple[list[Row], list[Filled]]:
    """A row for each way, and what filling each cache took."""
    caches: dict[Kind, PictureCache] = {}
    filled = []
    for kind in ("ram", "device"):
        start = time.perf_counter()
        caches[kind] = fill_cache(images, kind, device=best_device())
        seconds = time.perf_counter() - start
        size = caches[kind].pixels.nbytes
        filled.append(Filled(kind=kind, seconds=seconds, images=len(images), bytes=size))
    ways: dict[str, tuple[PictureCache | None, int]] = {
        f"files, {workers} workers": (None, workers) for workers in settings.workers
    }
    ways |= {f"cache in {kind}": (cache, 0) for kind, cache in caches.items()}
    turns: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(settings.repeats):
        for name in list(ways) if turn % 2 else list(ways)[::-1]:
            cache, workers = ways[name]
            turns[name].append(clock(images, cache, settings, workers))
    peers = [f"files, {workers} workers" for workers in settings.workers]
    return [Row(way=name, seconds=turns[name], turns=turns, peers=peers) for name in ways], filled


@as_command("cached_reading")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.cached_reading")
    torch.set_num_threads(1)  # as in the loader processes
    with tempfile.TemporaryDirectory() as folder:
        if not settings.data:
            write_images(Path(folder), settings.images)
        images = open_images(settings.data or f"{folder}/folder", settings)
        rows, filled = measure(images, settings)
    write_report(
        rows,
        filled,
        arguments,
        settings.out,
        about=f"{len(images):,} pictures{f' of {Path(settings.data)}' if settings.data else ''}, "
        f"{settings.size} x {settings.size} in batches of {settings.batch}",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
