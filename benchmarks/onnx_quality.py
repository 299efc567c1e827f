"""What exported weights lose and gain from end to end, images drawn and reconstructed.

    python -m benchmarks.onnx_quality products --data SET --exports exports/fp32 exports/int8

Images are drawn for the captions of a test split by torch and by each export, from the same noise,
and the split's own are reconstructed. The Frechet distance to the split shows what is lost; torch's
from other noise shows how far chance alone moves it.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor

from benchmarks.exports import check_sampling, open_exports
from benchmarks.peers import take_turns
from benchmarks.speed_report import hardware, ratio, show_ratio
from studies.command import as_command, read_arguments
from textok.config import DataConfig
from textok.config.bundled import BUNDLED
from textok.config.check import require, require_range
from textok.data import open_captioned_images
from textok.data.pixels import to_tensor
from textok.evaluate.markdown import markdown_table
from textok.evaluate.reconstruction import evenly
from textok.export.check import pixel_noise
from textok.export.client import Client
from textok.metrics.features import load_feature_network
from textok.metrics.frechet import FeatureStatistics, frechet_distance, merge_all
from textok.metrics.image import psnr
from textok.pipeline import ImageRequest, Reconstructor, TextToImage
from textok.runtime.files import write_text
from textok.tokenizer import Tokenizer

PEER, AGAIN = "torch", "torch, other noise"
BATCH = 10


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Frechet distance, PSNR and seconds of exports from end to end: JSON and Markdown."""

    model: Annotated[str, tyro.conf.Positional] = BUNDLED
    """What was exported: a pipeline that draws prompts."""
    data: Path
    """A captioned set, whose test split is drawn and reconstructed."""
    exports: tuple[Path, ...]
    """Folders that `textok export onnx` wrote of the model."""
    images: int = 500
    """Of the split, evenly spaced."""
    threads: int = 1
    """CPU threads of all."""
    turns: int = 9
    """Single images timed, of each side."""
    out: Path = Path("docs/results/onnx")
    """Folder for quality.json and quality.md."""

    def __post_init__(self) -> None:
        for name, value in (
            ("exports", len(self.exports)),
            ("threads", self.threads),
            ("turns", self.turns),
        ):
            require_range(name, value, 1)
        require_range("images", self.images, 2)


@dataclass(frozen=True, kw_only=True)
class Side:
    """torch or an export."""

    draw: Callable[[Sequence[str], Sequence[int]], Tensor]
    """(B captions, B seeds) to images (B, 3, H, W)."""
    reconstruct: Callable[[Tensor, Sequence[str]], Tensor]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is found of a side."""

    side: str
    frechet: float
    """Of its drawn images to the split."""
    drawn_psnr: float | None = None
    """dB, median over images: its drawn images against torch's."""
    psnr: float | None = None
    """dB, mean over images: its reconstructions, not clamped, against the images."""
    drawing: tuple[float, float, float] | None = None
    """Times as fast as torch for one image: median and quartiles, of CPU time."""
    reconstructing: tuple[float, float, float] | None = None
    seconds: tuple[float, float] | None = None
    """CPU seconds of drawing and of reconstructing one image, medians."""

    def cells(self) -> list[str]:
        timed = ["", "", "", ""]
        if self.seconds and self.drawing and self.reconstructing:
            drawing, reconstructing = (f"{1e3 * one:.1f}" for one in self.seconds)
            timed = [drawing, show_ratio(self.drawing)]
            timed += [reconstructing, show_ratio(self.reconstructing)]
        numbers = [f"{one:.2f}" if one is not None else "" for one in (self.drawn_psnr, self.psnr)]
        return [self.side, f"{self.frechet:.2f}", *numbers, *timed]


HEADS = [
    "side",
    "FD-EffLite0",
    "drawn, dB to torch",
    "reconstructed, dB to the image",
    "drawing, CPU ms",
    "times torch (quartiles)",
    "reconstructing, CPU ms",
    "times torch (quartiles)",
]


def open_pipeline(model: str) -> TextToImage:
    """Raises ValueError for a model that draws no prompts."""
    pipe = TextToImage.from_pretrained(model, device="cpu")
    require(not pipe.classes, f"{model} draws classes: name a pipeline of prompts")
    return pipe


def torch_side(pipe: TextToImage) -> Side:
    reconstructor = Reconstructor(pipe.tokenizer, device="cpu")

    def draw(captions: Sequence[str], seeds: Sequence[int]) -> Tensor:
        pairs = zip(captions, seeds, strict=True)
        return pipe.draw_tensor([ImageRequest(condition=one, seed=seed) for one, seed in pairs])

    def reconstruct(images: Tensor, captions: Sequence[str]) -> Tensor:
        features = reconstructor.features(captions, len(images))
        latents = reconstructor.tokenizer.encode(images, features)
        return reconstructor.tokenizer.decode(latents, features, seeds=range(len(images)))

    return Side(draw=draw, reconstruct=torch.inference_mode()(reconstruct))


def export_side(client: Client, tokenizer: Tokenizer) -> Side:
    """``tokenizer`` gives a decoder that samples the noise of a seed."""
    latents = client.manifest["latents"]
    shape = (latents["generated"], latents["channels"])

    def draw(captions: Sequence[str], seeds: Sequence[int]) -> Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = torch.stack([torch.randn(shape, generator=one) for one in generators])
        pixels = pixel_noise(tokenizer, seeds)
        return torch.from_numpy(client.draw(noise.numpy(), captions, pixel_noise_BNP=pixels))

    def reconstruct(images: Tensor, captions: Sequence[str]) -> Tensor:
        tokens = client.encode(images.numpy(), captions)["tokens"]
        pixels = pixel_noise(tokenizer, range(len(images)))
        return torch.from_numpy(client.decode(tokens, captions, pixels))

    return Side(draw=draw, reconstruct=reconstruct)


def batches(captions: Sequence[str]) -> Iterator[tuple[slice, Sequence[str]]]:
    for at in range(0, len(captions), BATCH):
        yield slice(at, at + BATCH), captions[at : at + BATCH]


def drawn(side: Side, captions: Sequence[str], first: int = 0) -> Tensor:
    """An image of each caption, rounded to 8 bits, from seeds that begin with ``first``."""
    rows = [
        side.draw(some, range(first + part.start, first + part.start + len(some)))
        for part, some in batches(captions)
    ]
    return ((torch.cat(rows).clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def measure(sides: dict[str, Side], images: Tensor, captions: list[str], turns: int) -> list[Row]:
    """A row for each side, and one of torch from other noise."""
    network = load_feature_network("efficientnet_lite0")

    @torch.inference_mode()
    def statistics(of: Tensor) -> FeatureStatistics:
        return merge_all(FeatureStatistics.of(network.extract(part)) for part in of.split(BATCH))

    real = statistics(images).moments
    own = drawn(sides[PEER], captions)
    again = drawn(sides[PEER], captions, len(captions))
    numbers = count()

    def draw_one(side: Side) -> object:
        return side.draw([f"{captions[0]} {next(numbers)}"], [0])

    def reconstruct_one(side: Side) -> object:
        return side.reconstruct(images[:1], [f"{captions[0]} {next(numbers)}"])

    drawing, _ = take_turns([partial(draw_one, side) for side in sides.values()], turns)
    reconstructing, _ = take_turns(
        [partial(reconstruct_one, side) for side in sides.values()], turns
    )
    rows = []
    for index, (name, side) in enumerate(sides.items()):
        made = own if name == PEER else drawn(side, captions)
        parts = [side.reconstruct(images[part], some) for part, some in batches(captions)]
        row = Row(
            side=name,
            frechet=frechet_distance(statistics(made), real),
            drawn_psnr=None if name == PEER else float(psnr(made, own).median()),
            psnr=float(psnr(torch.cat(parts), images).mean()),
            drawing=ratio(drawing[0], drawing[index]),
            reconstructing=ratio(reconstructing[0], reconstructing[index]),
            seconds=(median(drawing[index]), median(reconstructing[index])),
        )
        rows.append(row)
        print(" | ".join(row.cells()), flush=True)
    return [*rows, Row(side=AGAIN, frechet=frechet_distance(statistics(again), real))]


def write_report(rows: Sequence[Row], images: int, arguments: Sequence[str], folder: Path) -> None:
    """Write quality.json and quality.md into ``folder``."""
    import onnxruntime

    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.onnx_quality", *arguments])
    machine = {**hardware(), "onnxruntime": onnxruntime.__version__}
    report = {"command": command, "machine": machine, "rows": [asdict(row) for row in rows]}
    write_text(folder / "quality.json", json.dumps(report, indent=1) + "\n")
    lines = [
        "# Exported weights from end to end",
        "",
        f"`{command}`",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        f"{images} images of the test split and as many drawn for their first captions, from the "
        "same noise by every side; the Frechet distance is of these two. Drawn images are compared "
        "with torch's by the median PSNR, reconstructions, not clamped, with the images by the "
        "mean. Times are of one image with a new caption, by the process's clock.",
        "",
        *markdown_table(HEADS, [row.cells() for row in rows]),
        "",
    ]
    write_text(folder / "quality.md", "\n".join(lines))


@as_command("onnx_quality")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.onnx_quality")
    torch.set_num_threads(settings.threads)
    exports = open_exports(settings.model, settings.exports, beside=PEER, threads=settings.threads)
    pipe = open_pipeline(settings.model)
    check_sampling(exports, pipe.sampling)
    sides = {PEER: torch_side(pipe)}
    sides |= {name: export_side(one, pipe.tokenizer) for name, one in exports.items()}
    size = pipe.tokenizer.config.image_size
    config = DataConfig(path=str(settings.data), split="test")
    split = evenly(open_captioned_images(config, image_size=size), settings.images)
    pixels = np.stack([split.read(index) for index in range(len(split))])
    captions = [record.captions[0] if record.captions else "" for record in split.records]
    rows = measure(sides, to_tensor(torch.from_numpy(pixels)), captions, settings.turns)
    write_report(rows, len(captions), arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
