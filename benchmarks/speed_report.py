"""Measured times as JSON, a Markdown table and a plot."""

from __future__ import annotations

import json
import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure

from textok.evaluate.markdown import markdown_table
from textok.runtime.device import Precision, best_device
from textok.runtime.files import atomic_write, write_text


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run the model."""

    model: Literal["plain", "textok"]
    compiled: bool
    precision: Precision

    @property
    def name(self) -> str:
        return f"{self.model} {'compiled' if self.compiled else 'eager'} {self.precision}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant in one case."""

    task: str
    batch: int
    variant: Variant
    seconds: list[float]
    """Of one call, in each turn."""
    peer_seconds: list[float]
    """The same of the variant that it is compared with."""
    peak_mib: float | None

    @property
    def images_per_second(self) -> float:
        return self.batch / median(self.seconds)

    @property
    def ratio(self) -> tuple[float, float, float]:
        return ratio(self.peer_seconds, self.seconds)

    def cells(self) -> list[str]:
        return [
            self.task,
            str(self.batch),
            self.variant.name,
            f"{self.images_per_second:.4g}",
            show_ratio(self.ratio),
            "" if self.peak_mib is None else f"{self.peak_mib:.0f}",
        ]

    def line(self) -> str:
        return " | ".join(self.cells())


def ratio(peer_seconds: Sequence[float], seconds: Sequence[float]) -> tuple[float, float, float]:
    """How many times as fast as the peer: median and quartiles of the turns' ratios."""
    ratios = [peer / own for peer, own in zip(peer_seconds, seconds, strict=True)]
    middle, low, high = np.quantile(ratios, [0.5, 0.25, 0.75])
    return float(middle), float(low), float(high)


def show_ratio(times: tuple[float, float, float]) -> str:
    middle, low, high = times
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


HEADS = ["task", "batch", "variant", "images/s", "times the peer (quartiles)", "peak MiB"]


def write_report(rows: Sequence[Row], arguments: Sequence[str], folder: Path) -> None:
    """Write speed.json, speed.md and speed.png into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.tokenizer_speed", *arguments])
    machine = hardware()
    summaries = [
        {**asdict(row), "images_per_second": row.images_per_second, "ratio": row.ratio}
        for row in rows
    ]
    report = {"command": command, "machine": machine, "rows": summaries}
    write_text(folder / "speed.json", json.dumps(report, indent=1) + "\n")
    lines = [
        "# Speed of the tokenizer",
        "",
        f"`{command}`, {len(rows[0].seconds)} turns of each variant.",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        f"The peer is `{rows[0].variant.name}`: torch's own `nn.TransformerEncoderLayer`s with the "
        "same widths, token counts and padding masks, and without `qk_norm`, which they lack. "
        "Images/s are medians over the turns; peak memory counts weights, activations and, in "
        "training, gradients and AdamW's averages. On a CPU it is the growth of the process, "
        "compiling included.",
        "",
        *markdown_table(HEADS, [row.cells() for row in rows]),
        "",
        "![times the peer](speed.png)",
        "",
    ]
    write_text(folder / "speed.md", "\n".join(lines))
    _plot(rows, folder / "speed.png")


def hardware() -> dict[str, str]:
    """What the numbers depend on."""
    cpu = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (cpu.read_text().splitlines() if cpu.exists() else [])
        if line.startswith("model name")
    ]
    machine = {
        "CPU": names[0] if names else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
    }
    if best_device().type == "cuda":
        machine["GPU"] = torch.cuda.get_device_name()
    return machine


def _plot(rows: Sequence[Row], path: Path) -> None:
    """Bars of the ratios: a group a case, a colour a variant, quartiles as whiskers."""
    cases = list(dict.fromkeys((row.task, row.batch) for row in rows))
    variants = list(dict.fromkeys(row.variant for row in rows))
    figure = Figure(figsize=(9, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    width = 0.85 / len(variants)
    for index, variant in enumerate(variants):
        ratios = np.array([row.ratio for row in rows if row.variant == variant])
        middle, low, high = ratios.T
        axes.bar(
            np.arange(len(cases)) + index * width,
            middle,
            width,
            yerr=(middle - low, high - middle),
            capsize=2,
            label=variant.name,
        )
    axes.axhline(1, color="black", linewidth=0.8)
    ticks = np.arange(len(cases)) + width * (len(variants) - 1) / 2
    axes.set_xticks(ticks, [f"{task}, batch {batch}" for task, batch in cases])
    axes.set_ylabel(f"times as fast as {variants[0].name}")
    axes.legend(frameon=False, ncols=2)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
