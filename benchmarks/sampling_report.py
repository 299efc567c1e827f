"""Measured times from a class to a picture as JSON, a Markdown table and a plot."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.speed_report import hardware
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import atomic_write, write_text

GOAL = 93.5
"""Times as fast at 512 px with 32 tokens (arXiv 2412.05796)."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Of one side, for so many pictures at once."""

    pictures: int
    walk: float
    """Seconds of all steps."""
    steps_timed: list[float]
    """Seconds of those that were timed, if not all were walked; the first starts up."""
    decoding: float
    """Seconds."""

    @property
    def drift(self) -> float | None:
        """Median of the second half of the timed steps, by that of the first half; None if unknown.

        The first step is left out.
        """
        later = self.steps_timed[1:]
        half = len(later) // 2
        return median(later[-half:]) / median(later[:half]) if half else None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One side in one case."""

    name: str
    tokens: int
    """K; 0 is the peer."""
    precision: str
    sampler: str
    steps: int
    step_flops: float
    """Of a picture: two rows of the network, one of MeanFlow's."""
    decoding_flops: float
    timing: Timing
    text: float | None = None
    """Seconds of the text encoder for as many captions; None where none is read or timed."""
    peer: Row | None
    """None for the peer itself."""

    @property
    def seconds(self) -> float:
        """An image."""
        return (self.timing.walk + self.timing.decoding) / self.timing.pictures

    @property
    def decoder_share(self) -> float:
        """Of the time."""
        return self.timing.decoding / (self.timing.walk + self.timing.decoding)

    @property
    def ratio_with_text(self) -> float | None:
        """How many times as fast as the peer if each picture's caption is encoded anew."""
        if self.peer is None or self.text is None:
            return None
        return self.peer.seconds / (self.seconds + self.text / self.timing.pictures)

    @property
    def flops(self) -> float:
        """An image."""
        return self.steps * self.step_flops + self.decoding_flops

    @property
    def ratio(self) -> float:
        """How many times as fast as the peer."""
        return 1.0 if self.peer is None else self.peer.seconds / self.seconds

    @property
    def flops_ratio(self) -> float:
        """How many times fewer FLOPs than the peer."""
        return 1.0 if self.peer is None else self.peer.flops / self.flops

    def cells(self) -> list[str]:
        timing = self.timing
        return [
            self.precision,
            str(timing.pictures),
            self.name if self.peer is None else f"{self.name}, K = {self.tokens}",
            f"{self.steps} {self.sampler}",
            f"{self.step_flops / 1e9:.4g}",
            f"{self.decoding_flops / 1e9:.4g}",
            f"{timing.walk / self.steps / timing.pictures:.3g}",
            f"{timing.decoding / timing.pictures:.3g}",
            f"{self.decoder_share:.0%}",
            f"{self.seconds:.4g}",
            f"{self.ratio:.4g}",
            f"{self.flops_ratio:.4g}",
            "–" if self.text is None else f"{self.text / timing.pictures:.3g}",
            "–" if self.ratio_with_text is None else f"{self.ratio_with_text:.4g}",
        ]

    def line(self) -> str:
        return " | ".join(self.cells())

    def as_json(self) -> dict[str, Any]:
        mine = {name: value for name, value in vars(self).items() if name not in ("timing", "peer")}
        derived = {
            "seconds_an_image": self.seconds,
            "decoder_share": self.decoder_share,
            "ratio": self.ratio,
            "ratio_with_text": self.ratio_with_text,
            "flops_ratio": self.flops_ratio,
        }
        return {**mine, **vars(self.timing), **derived}


HEADS = [
    "precision",
    "pictures",
    "side",
    "steps",
    "GFLOP a step",
    "GFLOP decoding",
    "s a step",
    "s decoding",
    "decoding %",
    "s an image",
    "times as fast",
    "times fewer FLOPs",
    "s text encoder",
    "times as fast with it",
]


def write_report(rows: Sequence[Row], arguments: Sequence[str], folder: Path) -> None:
    """Write sampling.json, sampling.md and sampling.png into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.sampling", *arguments])
    machine = {**hardware(), "diffusers": version("diffusers")}
    report = {"command": command, "machine": machine, "rows": [row.as_json() for row in rows]}
    write_text(folder / "sampling.json", json.dumps(report, indent=1) + "\n")
    lines = [
        "# From a class to a picture",
        "",
        f"`{command}`",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        "Everything is of one picture: seconds, and FLOPs as torch counts them (matrix products "
        "and convolutions). Both sides are guided at each step, by a network of the same shape, "
        "and have random weights. The peer is diffusers' DiT over the SD-VAE's latents. (a) takes "
        "as many steps as the peer, (b) is the short walk, (c) one step of MeanFlow, whose "
        "guidance is a condition and does not double the rows. A decoder is named by its ViT and "
        "patch; without a name it is the preset's. What a smaller one loses was not measured here. "
        "TexTok's decoder reads a caption of a class's list, the longest there can be; the text "
        "features of such a list are computed once for all pictures. The text encoder (one layer "
        "timed, with random weights, times their number) is therefore in the last two columns "
        "alone: its time for a caption, and the ratio if each picture's caption is encoded anew. "
        "On a CPU textok gives its fp32 products to oneDNN, with weights of up to a GiB packed; "
        "the peer's go where torch sends them, to MKL.",
        "",
        *_how_steps_were_timed(rows),
        "",
        *markdown_table(HEADS, [row.cells() for row in rows]),
        "",
    ]
    if len({row.tokens for row in rows if row.peer is not None}) > 1:
        _plot(rows, folder / "sampling.png")
        lines += ["![times as fast](sampling.png)", ""]
    write_text(folder / "sampling.md", "\n".join(lines))


def _how_steps_were_timed(rows: Sequence[Row]) -> list[str]:
    """What of the walks is measured and what multiplied, and whether that is fair."""
    counts = {len(row.timing.steps_timed) for row in rows}
    if counts == {0}:
        return ["Every step was walked."]
    lines = [
        f"At least {min(counts - {0})} steps were walked, and the median of all but the first is "
        "taken for all others. The first also holds what is prepared once for all steps. Walks of "
        "one step are repeated, and the median taken."
    ]
    drifts = [row.timing.drift for row in rows if row.timing.drift is not None]
    if drifts:
        lines[0] += (
            " The second half of the steps timed took "
            f"{min(drifts):.2f} to {max(drifts):.2f} times what the first half took; 1 says that "
            "steps cost the same."
        )
    return lines


def _plot(rows: Sequence[Row], path: Path) -> None:
    """Times as fast over K, a line for each way, precision and number of pictures."""
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    ours = [row for row in rows if row.peer is not None]
    for case in dict.fromkeys((row.name, row.precision, row.timing.pictures) for row in ours):
        name, precision, pictures = case
        line = [r for r in ours if (r.name, r.precision, r.timing.pictures) == case]
        style = "o-" if name.endswith("(b)") else "o--"
        label = f"{name}, {precision}, {pictures} at once"
        axes.plot([r.tokens for r in line], [r.ratio for r in line], style, label=label)
    axes.axhline(GOAL, color="black", linewidth=0.8)
    ticks = np.unique([row.tokens for row in ours])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("tokens K")
    axes.set_ylabel("times as fast as DiT-XL/2")
    axes.legend(frameon=False, fontsize="small")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
