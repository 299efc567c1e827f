"""How fast images are read: textok's loader beside plain webdataset and an image folder.

    python -m benchmarks.reading --out docs/results/reading

Decoding, random square crop, mirroring and batching at 256 px, of the same JPEG files of about
110 kB, which the script makes. The readers take turns, so that a busy moment meets them all, and
ratios are of the same turn. The peers are written as their users write them: Pillow, the shorter
side resized, then cut. webdataset is left out of the table where it is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.reading_report import Row, write_report
from studies.command import as_command, read_arguments
from textok.config import DataConfig
from textok.config.check import require_range
from textok.data import open_captioned_images, train_batches

SHARDS = 8
PHOTO = (500, 375)
"""Width and height: the most common ones in ImageNet."""
Batches = Iterator[Tensor]
Reader = Callable[[Path, "Settings", int], Batches]
"""Gives batches of what lies in a folder, made by a number of loader processes."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Images/s of textok's loader and of its peers: JSON and Markdown."""

    images: int = 256
    """Files; read over and over."""
    size: int = 256
    """Pixels a side of what comes out."""
    batch: int = 32
    """Images a batch."""
    batches: int = 8
    """Timed batches a turn."""
    workers: tuple[int, ...] = (0, 2)
    """Loader processes; 0 reads in the process itself."""
    repeats: int = 9
    """Turns of each reader."""
    out: Path = Path("docs/results/reading")
    """Folder for reading.json and reading.md."""

    def __post_init__(self) -> None:
        for name, value in (
            ("images", self.images),
            ("size", self.size),
            ("batch", self.batch),
            ("batches", self.batches),
            ("repeats", self.repeats),
        ):
            require_range(name, value, 1)
        require_range("workers", min(self.workers, default=-1), 0)


def draw_photo(number: int) -> bytes:
    """A JPEG of about 110 kB with gradients, texture and noise, the same in every run."""
    random = np.random.default_rng(number)
    layers = np.zeros((PHOTO[1], PHOTO[0], 3))
    for cells, strength in ((3, 90), (40, 40), (170, 35)):
        coarse = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        fine = Image.fromarray(coarse).resize(PHOTO, Image.Resampling.BICUBIC)
        layers += (np.asarray(fine) / 127.5 - 1) * strength
    layers += random.normal(0, 15, layers.shape)
    stream = io.BytesIO()
    photo = Image.fromarray(np.clip(layers + 128, 0, 255).astype(np.uint8))
    photo.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def write_images(root: Path, count: int) -> int:
    """``root``/folder/a and ``root``/shards with the same images; returns their mean bytes."""
    (root / "folder" / "a").mkdir(parents=True)
    (root / "shards").mkdir()
    tars = [tarfile.open(root / "shards" / f"{i:05d}.tar", "w") for i in range(SHARDS)]  # noqa: SIM115
    total = 0
    for number in range(count):
        photo = draw_photo(number)
        total += len(photo)
        (root / "folder" / "a" / f"{number:06d}.jpg").write_bytes(photo)
        for suffix, data in ((".jpg", photo), (".txt", b"a photo")):
            info = tarfile.TarInfo(f"{number:06d}{suffix}")
            info.size = len(data)
            tars[number % SHARDS].addfile(info, io.BytesIO(data))
    for tar in tars:
        tar.close()
    return total // count


def augment(image: Image.Image, size: int) -> Tensor:
    """What the peers do to an opened image: float32 (3, size, size) in [-1, 1]."""
    image = image.convert("RGB")
    scale = size / min(image.size)
    width, height = (max(size, round(length * scale)) for length in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    left = int(torch.randint(width - size + 1, ()))
    top = int(torch.randint(height - size + 1, ()))
    image = image.crop((left, top, left + size, top + size))
    if torch.rand(()) < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return pixels.float().div(127.5).sub(1)


@dataclass(frozen=True)
class PlainFolder(Dataset[Tensor]):
    """The files of a folder, opened by Pillow."""

    files: list[Path]
    size: int

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.files[index]) as image:
            return augment(image, self.size)


def plain_folder(root: Path, settings: Settings, workers: int) -> Batches:
    """torch's DataLoader over the folder, shuffled, without end."""
    files = sorted((root / "folder").rglob("*.jpg"))
    data = PlainFolder(files, settings.size)
    sampler = torch.utils.data.RandomSampler(data, replacement=True, num_samples=10**9)
    loader = DataLoader(data, settings.batch, sampler=sampler, num_workers=workers)
    return iter(loader)


def plain_webdataset(root: Path, settings: Settings, workers: int) -> Batches:
    """webdataset's usual pipeline over the shards, shuffled, without end."""
    wds: Any = importlib.import_module("webdataset")

    def opened(sample: dict[str, bytes]) -> Tensor:
        return augment(Image.open(io.BytesIO(sample["jpg"])), settings.size)

    shards = [str(path) for path in sorted((root / "shards").glob("*.tar"))]
    data = wds.WebDataset(shards, resampled=True, shardshuffle=False).shuffle(200)
    batched = data.map(opened).batched(settings.batch, collation_fn=torch.stack, partial=False)
    return iter(DataLoader(batched, batch_size=None, num_workers=workers))


def textok_reader(folder: str) -> Reader:
    """textok's training batches of ``root``/``folder``."""

    def batches(root: Path, settings: Settings, workers: int) -> Batches:
        config = DataConfig(path=str(root / folder), split="", crop="random", flip=True)
        steps = train_batches(
            open_captioned_images(config, image_size=settings.size),
            global_batch=settings.batch,
            accumulate=1,
            rank=0,
            world_size=1,
            first_step=0,
            seed=0,
            workers=workers,
        )
        return (batch.images for step in steps for batch in step)

    return batches


READERS: dict[str, Reader] = {
    "image folder, plain": plain_folder,
    "tar shards, webdataset": plain_webdataset,
    "image folder, textok": textok_reader("folder"),
    "tar shards, textok": textok_reader("shards"),
}


def clock(reader: Reader, root: Path, settings: Settings, workers: int) -> float:
    """Seconds of an image after the first batch, by loader processes of this turn alone.

    Processes of before would go on preparing batches while the next reader is timed.
    """
    batches = reader(root, settings, workers)
    next(batches)
    start = time.perf_counter()
    for _ in range(settings.batches):
        assert next(batches).shape == (settings.batch, 3, settings.size, settings.size)
    return (time.perf_counter() - start) / (settings.batches * settings.batch)


def measure(root: Path, settings: Settings) -> list[Row]:
    """A row for each reader and number of workers."""
    names = list(READERS)
    if importlib.util.find_spec("webdataset") is None:
        names.remove("tar shards, webdataset")
    rows = []
    for workers in settings.workers:
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(settings.repeats):
            for name in names if turn % 2 else names[::-1]:  # none always follows the same other
                seconds[name].append(clock(READERS[name], root, settings, workers))
        for name in names:
            rows.append(Row(reader=name, workers=workers, seconds=seconds[name], turns=seconds))
            print(rows[-1].line(), flush=True)
    return rows


@as_command("reading")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.reading")
    torch.set_num_threads(1)  # as in the loader processes
    with tempfile.TemporaryDirectory() as folder:
        mean_bytes = write_images(Path(folder), settings.images)
        rows = measure(Path(folder), settings)
    write_report(
        rows,
        arguments,
        settings.out,
        about=f"{settings.images} JPEG files of "
        f"{PHOTO[0]} x {PHOTO[1]} pixels and {mean_bytes / 1000:.0f} kB, read to "
        f"{settings.size} x {settings.size} in batches of {settings.batch}",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
