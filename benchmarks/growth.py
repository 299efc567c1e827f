"""How the cost of a tokenizer grows with its sizes and with processes, beside what is possible.

    python -m benchmarks.growth --out docs/results/growth

One thing varies at a time. FLOPs and what the backward pass keeps are counted without running
anything, as in `benchmarks.costs`; milliseconds are CPU time of one thread in fp32, forward and
backward, of random weights. The roof is what the counted FLOPs take at the rate of a large matrix
product, measured in the same run between the columns. Processes are timed by the wall clock,
together, and want cores of their own: the roof of n is what their FLOPs take at n times that rate.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from benchmarks.costs import count_tokenizer
from benchmarks.growth_passes import clock, passes, seconds_together
from benchmarks.growth_report import Point, write_report
from studies.command import as_command, read_arguments
from textok.config import TextConfig, TokenizerConfig, TrainTokenizerConfig, ViTConfig
from textok.config.check import require, require_range

Axis = Literal["tokens", "patches", "resolution", "text", "batch", "processes"]
SIDE = 8
"""Patches along a side of the image, where they do not vary."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """One tokenizer and its batch."""

    tokens: int
    """K."""
    patches: int
    """N, a square number."""
    text: int
    """T."""
    batch: int
    """B, of each process."""
    resolution: int
    """Pixels along a side of the image."""
    processes: int

    def config(self, vit: ViTConfig) -> TrainTokenizerConfig:
        """A training of the tokenizer, with text on both sides."""
        tokenizer = TokenizerConfig(
            image_size=self.resolution,
            patch_size=self.resolution // round(self.patches**0.5),
            num_tokens=self.tokens,
            text="both",
            text_width=vit.width,
            text_tokens=self.text,
            encoder=vit,
            decoder=vit,
        )
        return TrainTokenizerConfig(tokenizer=tokenizer, text=TextConfig(max_tokens=self.text))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Milliseconds, FLOPs and bytes an image along six axes: JSON, Markdown and a plot."""

    tokens: tuple[int, ...] = (8, 32, 128, 512)
    """K."""
    sides: tuple[int, ...] = (4, 8, 16, 32)
    """Patches along a side of the image, of `patch` pixels; N is the square."""
    resolution: tuple[int, ...] = (64, 128, 256, 512)
    """Pixels along a side of the image, cut into as many patches."""
    text: tuple[int, ...] = (8, 32, 128, 512)
    """T."""
    batch: tuple[int, ...] = (1, 4, 16, 32)
    """B."""
    processes: tuple[int, ...] = (1, 2)
    """That train together, one thread each; which take as many cores."""
    width: int = 192
    """Of the ViTs."""
    depth: int = 2
    """Blocks on each side."""
    patch: int = 8
    """Pixels."""
    repeats: int = 3
    """Calls of which the fastest counts."""
    out: Path = Path("docs/results/growth")
    """Folder for growth.json, growth.md and growth.png."""

    def __post_init__(self) -> None:
        for name in ("tokens", "sides", "resolution", "text", "batch", "processes"):
            require_range(name, min(getattr(self, name), default=0), 1)
        for name in ("width", "depth", "patch", "repeats"):
            require_range(name, getattr(self, name), 1)
        odd = next((value for value in self.resolution if value % SIDE), None)
        require(odd is None, f"resolution {odd}: multiples of {SIDE} are cut into {SIDE} x {SIDE}")

    def sizes(self) -> dict[Axis, list[Size]]:
        """Along each axis, from the same middle: K = 32, N = 64, T = 32, B = 1, one process."""
        middle = Size(
            tokens=32,
            patches=SIDE**2,
            text=32,
            batch=1,
            resolution=SIDE * self.patch,
            processes=1,
        )
        return {
            "tokens": [replace(middle, tokens=value) for value in self.tokens],
            "patches": [
                replace(middle, patches=side**2, resolution=side * self.patch)
                for side in self.sides
            ],
            "resolution": [replace(middle, resolution=value) for value in self.resolution],
            "text": [replace(middle, text=value) for value in self.text],
            "batch": [replace(middle, batch=value) for value in self.batch],
            "processes": [
                replace(middle, batch=max(self.batch), processes=value) for value in self.processes
            ],
        }


def matmul_rate(size: int = 1024) -> float:
    """FLOP/s of a product of matrices, by CPU time."""
    matrix = torch.randn(size, size)
    return 2 * size**3 / clock(lambda: matrix @ matrix, 5)


def measure(settings: Settings) -> tuple[list[Point], float]:
    """All points, and FLOP/s of a matrix product: the best that was seen between them."""
    torch.set_num_threads(1)
    vit = ViTConfig(width=settings.width, depth=settings.depth, heads=max(1, settings.width // 64))
    points, rates = [], [matmul_rate()]
    for axis, sizes in settings.sizes().items():
        for size in sizes:
            points.append(_point(axis, size, size.config(vit), settings.repeats))
            print(points[-1].line(), flush=True)
        rates.append(matmul_rate())
    return points, max(rates)


def _point(axis: Axis, size: Size, config: TrainTokenizerConfig, repeats: int) -> Point:
    if axis == "processes":
        seconds = seconds_together(config.tokenizer, size.batch, size.processes, repeats)
    else:
        seconds = clock(passes(config.tokenizer, size.batch), repeats)
    counted = count_tokenizer(config)
    return Point(
        axis=axis,
        value=getattr(size, axis),
        ms=1000 * seconds / (size.batch * size.processes),
        flops=counted.flops,
        # Counted at two bytes a number.
        kept=2 * counted.kept,
        processes=size.processes,
    )


@as_command("growth")
def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = read_arguments(Settings, arguments, prog="python -m benchmarks.growth")
    points, rate = measure(settings)
    write_report(points, rate, arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
