"""Measured times of reading from files and from a cache as JSON and a Markdown table."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.speed_report import hardware, ratio, show_ratio
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What it took to fill a cache."""

    kind: str
    seconds: float
    images: int
    bytes: int

    def sentence(self) -> str:
        return (
            f"{self.kind}: {self.bytes / 1e6:,.1f} MB, filled in {self.seconds:.1f} s "
            f"({self.images / self.seconds:,.0f} pictures/s)"
        )


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to the same batches."""

    way: str
    seconds: list[float]
    """Of a picture, in each turn."""
    turns: Mapping[str, list[float]]
    """The same of all ways."""
    peers: list[str]
    """The ways that it is compared with."""

    @property
    def images_per_second(self) -> float:
        return 1 / median(self.seconds)

    @property
    def ratios(self) -> dict[str, tuple[float, float, float]]:
        """How many times as fast as each peer: median and quartiles."""
        return {peer: ratio(self.turns[peer], self.seconds) for peer in self.peers}

    def cells(self) -> list[str]:
        shown = [show_ratio(self.ratios[peer]) for peer in self.peers]
        return [self.way, f"{self.images_per_second:,.0f}", *shown]


def write_report(
    rows: Sequence[Row],
    filled: Sequence[Filled],
    arguments: Sequence[str],
    folder: Path,
    *,
    about: str,
) -> None:
    """Write cached.json and cached.md into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.cached_reading", *arguments])
    machine = hardware() | {
        "Pillow": importlib.metadata.version("Pillow"),
        "load average at the end": f"{os.getloadavg()[1]:.1f}",
    }
    summaries = [
        {
            "way": row.way,
            "seconds": row.seconds,
            "images_per_second": row.images_per_second,
            "ratios": row.ratios,
        }
        for row in rows
    ]
    caches = [asdict(one) for one in filled]
    report = {
        "command": command,
        "machine": machine,
        "about": about,
        "caches": caches,
        "rows": summaries,
    }
    write_text(folder / "cached.json", json.dumps(report, indent=1) + "\n")
    heads = ["way", "pictures/s", *(f"times {peer} (quartiles)" for peer in rows[0].peers)]
    lines = [
        "# Pictures from a cache",
        "",
        f"`{command}`, {len(rows[0].seconds)} turns of each way.",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        f"Training batches of {about}, cut at the centre and mirrored by chance, as float32 on the "
        "device named above; the same bits from every way. Medians over the turns, ratios of the "
        "same turn. The files are in the cache of the operating system. Where the load is above "
        "the number of cores, other work slowed all ways: the ratios hold better than the "
        "pictures/s.",
        "",
        *markdown_table(heads, [row.cells() for row in rows]),
        "",
        f"The caches: {'; '.join(one.sentence() for one in filled)}. On a machine without a GPU "
        "both lie in main memory.",
        "",
    ]
    write_text(folder / "cached.md", "\n".join(lines))
