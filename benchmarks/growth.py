"""How the cost of a tokenizer grows with tokens, patches, text and batch, beside what is possible.

    python -m benchmarks.growth --out docs/results/growth

One thing varies at a time. FLOPs and what the backward pass keeps are counted without running
anything, as in `benchmarks.costs`; milliseconds are CPU time of one thread in fp32, forward and
backward, of random weights. The roof is what the counted FLOPs take at the rate of a large matrix
product, measured in the same run between the columns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro

from benchmarks.costs import count_tokenizer
from benchmarks.growth_report import Point, write_report
from textok.config import TextConfig, TokenizerConfig, TrainTokenizerConfig, ViTConfig
from textok.config.check import require_range
from textok.tokenizer import Tokenizer
from textok.types import TextFeatures

Axis = Literal["tokens", "patches", "text", "batch"]
ENOUGH = 1.0
"""Seconds of a point, after which its call is not repeated."""


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
    """B."""

    def config(self, vit: ViTConfig, patch: int) -> TrainTokenizerConfig:
        """A training of the tokenizer, with text on both sides."""
        tokenizer = TokenizerConfig(
            image_size=patch * round(self.patches**0.5),
            patch_size=patch,
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
    """CPU milliseconds, FLOPs and bytes an image along four axes: JSON, Markdown and a plot."""

    tokens: tuple[int, ...] = (8, 32, 128, 512)
    """K."""
    sides: tuple[int, ...] = (4, 8, 16, 32)
    """Patches along a side of the picture; N is the square."""
    text: tuple[int, ...] = (8, 32, 128, 512)
    """T."""
    batch: tuple[int, ...] = (1, 4, 16, 32)
    """B."""
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
        for name in ("tokens", "sides", "text", "batch"):
            require_range(name, min(getattr(self, name), default=0), 1)
        for name in ("width", "depth", "patch", "repeats"):
            require_range(name, getattr(self, name), 1)

    def sizes(self) -> dict[Axis, list[Size]]:
        """Along each axis, from the same middle: K = 32, N = 64, T = 32, B = 1."""
        middle = Size(tokens=32, patches=64, text=32, batch=1)
        return {
            "tokens": [replace(middle, tokens=value) for value in self.tokens],
            "patches": [replace(middle, patches=side**2) for side in self.sides],
            "text": [replace(middle, text=value) for value in self.text],
            "batch": [replace(middle, batch=value) for value in self.batch],
        }


def clock(call: Callable[[], object], repeats: int) -> float:
    """CPU seconds of the fastest call, after one that warms up."""
    call()
    seconds: list[float] = []
    while len(seconds) < repeats and sum(seconds) < ENOUGH:
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def matmul_rate(size: int = 1024) -> float:
    """FLOP/s of a product of matrices, by CPU time."""
    matrix = torch.randn(size, size)
    return 2 * size**3 / clock(lambda: matrix @ matrix, 5)


def passes(config: TokenizerConfig, batch: int) -> Callable[[], None]:
    """Forward and backward of a new tokenizer with random weights, images and text."""
    tokenizer = Tokenizer(config)
    images = torch.rand(batch, 3, config.image_size, config.image_size) * 2 - 1
    shape = (batch, config.text_tokens)
    mask = torch.ones(shape, dtype=torch.bool)
    text = TextFeatures(states=torch.randn(*shape, config.text_width), mask=mask)

    def call() -> None:
        tokenizer(images, text).images.sum().backward()
        tokenizer.zero_grad()

    return call


def measure(settings: Settings) -> tuple[list[Point], float]:
    """All points, and FLOP/s of a matrix product: the best that was seen between them."""
    torch.set_num_threads(1)
    vit = ViTConfig(width=settings.width, depth=settings.depth, heads=max(1, settings.width // 64))
    points, rates = [], [matmul_rate()]
    for axis, sizes in settings.sizes().items():
        for size in sizes:
            config = size.config(vit, settings.patch)
            counted = count_tokenizer(config)
            seconds = clock(passes(config.tokenizer, size.batch), settings.repeats)
            point = Point(
                axis=axis,
                value=getattr(size, axis),
                ms=1000 * seconds / size.batch,
                flops=counted.flops,
                # Counted at two bytes a number.
                kept=2 * counted.kept,
            )
            points.append(point)
            print(point.line(), flush=True)
        rates.append(matmul_rate())
    return points, max(rates)


def main(arguments: list[str]) -> None:
    """Measure and write what the command line asks for."""
    settings = tyro.cli(Settings, prog="python -m benchmarks.growth", args=arguments)
    try:
        points, rate = measure(settings)
    except (ValueError, OSError) as error:
        sys.exit(f"growth: error: {error}")
    write_report(points, rate, arguments, settings.out)


if __name__ == "__main__":
    main(sys.argv[1:])
