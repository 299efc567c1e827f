"""Measured training steps as JSON and a Markdown table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.speed_report import HEADS as SPEED_HEADS
from benchmarks.speed_report import Row, hardware
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text

HEADS = [*SPEED_HEADS, "GFLOP an image", "TFLOP/s", "share of the peak"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One variant of one task."""

    row: Row
    flops: float
    """The model's, an image."""
    peak: float
    """FLOP/s."""
    source: str
    """Where ``peak`` is from."""
    parts: dict[str, float] = field(default_factory=dict)
    """Share of each part in the step, of a tokenizer."""

    @property
    def rate(self) -> float:
        """The model's FLOP/s."""
        return self.flops * self.row.images_per_second

    def cells(self) -> list[str]:
        return [
            *self.row.cells(),
            f"{self.flops / 1e9:.4g}",
            f"{self.rate / 1e12:.3g}",
            f"{100 * self.rate / self.peak:.1f} %",
        ]

    def line(self) -> str:
        return " | ".join(self.cells())


def write_report(found: Sequence[Measured], arguments: Sequence[str], folder: Path) -> None:
    """Write training.json and training.md into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.training", *arguments])
    machine = hardware()
    summaries = [
        {
            **asdict(one),
            "images_per_second": one.row.images_per_second,
            "ratio": one.row.ratio,
            "share_of_peak": one.rate / one.peak,
        }
        for one in found
    ]
    report = {"command": command, "machine": machine, "rows": summaries}
    write_text(folder / "training.json", json.dumps(report, indent=1) + "\n")
    peaks = {
        one.row.variant.precision: f"{one.peak / 1e12:.4g} TFLOP/s in "
        f"{one.row.variant.precision} ({one.source})"
        for one in found
    }
    lines = [
        "# Speed of training",
        "",
        f"`{command}`, {len(found[0].row.seconds)} steps of each variant.",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        "Whole optimiser steps of one process, as `textok train` takes them, on data that is at "
        "hand; the tokenizer's with discriminator and perceptual network, where its preset has "
        "them. The peer of a task is its first variant. FLOPs are the model's, forward and "
        f"backward, as torch counts them; the peak is {' and '.join(peaks.values())}.",
        "",
        *markdown_table(HEADS, [one.cells() for one in found]),
        "",
        *_shares([one for one in found if one.parts]),
    ]
    write_text(folder / "training.md", "\n".join(lines))


def _shares(found: Sequence[Measured]) -> list[str]:
    """A column a variant, a line a part."""
    if not found:
        return []
    heads = ["part of a tokenizer step", *(one.row.variant.name for one in found)]
    rows = [[part, *(f"{one.parts[part]:.1%}" for one in found)] for part in found[0].parts]
    return [
        "## Parts of a tokenizer step",
        "",
        "Of further steps in which the device is waited for at both ends of each part, the upload "
        "of the batch among them. The discriminator's part is its forward passes; all "
        "backward passes are in one.",
        "",
        *markdown_table(heads, rows),
        "",
    ]
