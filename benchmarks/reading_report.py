"""Measured times of reading as JSON and a Markdown table."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from PIL import features

from benchmarks.speed_report import hardware, ratio, show_ratio
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text

PEERS = ("image folder, plain", "tar shards, webdataset")
HEADS = ["reader", "workers", "images/s", *(f"times {peer} (quartiles)" for peer in PEERS)]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One reader with one number of loader processes."""

    reader: str
    workers: int
    seconds: list[float]
    """Of an image, in each turn."""
    turns: Mapping[str, list[float]]
    """The same of all readers, the peers among them."""

    @property
    def images_per_second(self) -> float:
        return 1 / median(self.seconds)

    @property
    def ratios(self) -> dict[str, tuple[float, float, float]]:
        """How many times as fast as each peer that was there: median and quartiles."""
        there = [peer for peer in PEERS if peer in self.turns]
        return {peer: ratio(self.turns[peer], self.seconds) for peer in there}

    def cells(self) -> list[str]:
        shown = [show_ratio(self.ratios[p]) if p in self.ratios else "absent" for p in PEERS]
        return [self.reader, str(self.workers), f"{self.images_per_second:.0f}", *shown]

    def line(self) -> str:
        return " | ".join(self.cells())


def write_report(
    rows: Sequence[Row], arguments: Sequence[str], folder: Path, *, about: str
) -> None:
    """Write reading.json and reading.md into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.reading", *arguments])
    machine = hardware() | {
        "Pillow": importlib.metadata.version("Pillow"),
        "libjpeg-turbo": features.version_feature("libjpeg_turbo") or "no",
        "load average at the end": f"{os.getloadavg()[1]:.1f}",
    }
    if importlib.util.find_spec("webdataset") is not None:
        machine["webdataset"] = importlib.metadata.version("webdataset")
    summaries = [
        {
            "reader": row.reader,
            "workers": row.workers,
            "seconds": row.seconds,
            "images_per_second": row.images_per_second,
            "ratios": row.ratios,
        }
        for row in rows
    ]
    report = {"command": command, "machine": machine, "about": about, "rows": summaries}
    write_text(folder / "reading.json", json.dumps(report, indent=1) + "\n")
    lines = [
        "# Speed of reading",
        "",
        f"`{command}`, {len(rows[0].seconds)} turns of each reader.",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        f"{about}, cut at random and mirrored by chance. The peers use Pillow and a torch "
        "`DataLoader`: the shorter side is resized, with the same filter, and then cut. Images/s "
        "are medians over the turns; with 0 workers one core reads. The files are in the cache of "
        "the operating system, so that this is the work of the processor, not of the disk. Where "
        "the load is above the number of cores, other work slowed all readers: the ratios, of the "
        "same turn, hold better than the images/s.",
        "",
        *markdown_table(HEADS, [row.cells() for row in rows]),
        "",
    ]
    write_text(folder / "reading.md", "\n".join(lines))
