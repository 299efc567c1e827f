"""Costs along each axis as JSON, a Markdown table and small multiples."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from benchmarks.speed_report import hardware
from studies.notes import write_noted
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import atomic_write, write_text

LABELS = {
    "tokens": "latent tokens K",
    "patches": "patches N",
    "resolution": "resolution, N = 64",
    "text": "text tokens T",
    "batch": "batch B",
    "processes": "processes",
}
HEADS = ["axis", "value", "ms an image", "GFLOP", "MB kept", "times the roof", "growth"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One size of a tokenizer; everything is of one image."""

    axis: str
    value: int
    ms: float
    """Forward and backward."""
    flops: float
    """Of both passes."""
    kept: float
    """Bytes between the passes, in fp32."""
    processes: int = 1
    """That share the images."""

    def line(self) -> str:
        return f"{self.axis} {self.value}: {self.ms:.2f} ms, {self.flops / 1e9:.3f} GFLOP"

    def roof(self, rate: float) -> float:
        """Milliseconds of the FLOPs at ``rate`` FLOP/s in each process."""
        return 1000 * self.flops / (rate * self.processes)


def exponents(points: Sequence[Point]) -> list[float]:
    """p of time ~ value^p between each two neighbours: 1 is linear, 2 quadratic."""
    return [
        math.log(after.ms / before.ms) / math.log(after.value / before.value)
        for before, after in pairwise(points)
    ]


def write_report(
    points: Sequence[Point], rate: float, arguments: Sequence[str], folder: Path
) -> None:
    """Write growth.json, growth.md and growth.png into ``folder``; ``rate`` is FLOP/s."""
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.growth", *arguments])
    machine = hardware()
    report = {
        "command": command,
        "machine": machine,
        "flops_a_second": rate,
        "points": [{**asdict(point), "roof_ms": point.roof(rate)} for point in points],
    }
    write_text(folder / "growth.json", json.dumps(report, indent=1) + "\n")
    by_axis = [[p for p in points if p.axis == axis] for axis in LABELS]
    rows = []
    for line in by_axis:
        growth = ["", *(f"{power:.2f}" for power in exponents(line))]
        rows += [_cells(point, rate, power) for point, power in zip(line, growth, strict=True)]
    lines = [
        "# How cost grows",
        "",
        f"`{command}`",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        "One image of a tokenizer with text on both sides, forward and backward in fp32, in CPU "
        "time of one thread; one thing varies at a time, the others are K = 32, N = 64, T = 32 "
        "and B = 1. N grows with the image; resolution does not change N, but the size of a patch. "
        "Processes have the largest batch each, average their gradients and are timed by the wall "
        "clock. FLOPs and the numbers kept for the backward pass are counted. The roof is "
        f"what the FLOPs take at {rate / 1e9:.1f} GFLOP/s a process, the best rate of a product of "
        "1024 x 1024 matrices in the same run. Growth is p in time ~ value^p, from the row above.",
        "",
        "![growth](growth.png)",
        "",
        *markdown_table(HEADS, rows),
        "",
    ]
    write_noted(folder / "growth.md", "\n".join(lines))
    _plot(by_axis, rate, folder / "growth.png")


def _cells(point: Point, rate: float, power: str) -> list[str]:
    return [
        LABELS[point.axis],
        str(point.value),
        f"{point.ms:.4g}",
        f"{point.flops / 1e9:.4g}",
        f"{point.kept / 1e6:.4g}",
        f"{point.ms / point.roof(rate):.2f}",
        power,
    ]


def _plot(by_axis: Sequence[Sequence[Point]], rate: float, path: Path) -> None:
    """A column an axis: time and roof above, memory below, all logarithmic."""
    figure = Figure(figsize=(11, 4.4), dpi=90, layout="constrained")
    axes = figure.subplots(2, len(by_axis), sharex="col", sharey="row")
    for column, points in enumerate(by_axis):
        values = [point.value for point in points]
        above, below = axes[0][column], axes[1][column]
        above.plot(values, [point.ms for point in points], "o-", label="measured")
        roofs = [point.roof(rate) for point in points]
        above.plot(values, roofs, "--", color="black", linewidth=1, label="roof")
        below.plot(values, [point.kept / 1e6 for point in points], "s-", color="tab:green")
        below.set_xlabel(LABELS[points[0].axis])
        for one in (above, below):
            one.set_xscale("log", base=2)
            one.set_yscale("log")
            one.set_xticks(values, [str(value) for value in values], fontsize="small")
            one.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            one.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            for axis in (one.xaxis, one.yaxis):
                axis.set_minor_formatter(NullFormatter())
            one.grid(visible=True, alpha=0.3)
    axes[0][0].set_ylabel("ms an image")
    axes[1][0].set_ylabel("MB kept an image")
    axes[0][0].legend(frameon=False, fontsize="small")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
