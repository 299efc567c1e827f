"""Measured times of generation as JSON and a Markdown table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.speed_report import Variant, hardware, ratio, show_ratio
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text

STAGES = ("text", "sampling", "decoding")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant in one case."""

    pictures: int
    """Drawn at once."""
    guided: bool
    variant: Variant
    seconds: dict[str, list[float]]
    """Of one call of each of STAGES, in each turn."""
    peer_sampling: list[float]
    """Those of sampling by the variant that it is compared with."""

    @property
    def per_picture(self) -> dict[str, float]:
        """Median seconds a picture, by stage."""
        return {stage: median(turns) / self.pictures for stage, turns in self.seconds.items()}

    @property
    def ratio(self) -> tuple[float, float, float]:
        """How many times as fast as the peer sampling is: median and quartiles."""
        return ratio(self.peer_sampling, self.seconds["sampling"])

    def cells(self) -> list[str]:
        stages = self.per_picture
        return [
            str(self.pictures),
            "yes" if self.guided else "no",
            self.variant.name,
            *(f"{stages[stage]:.3g}" for stage in STAGES),
            f"{sum(stages.values()):.3g}",
            show_ratio(self.ratio),
        ]


HEADS = [
    "pictures",
    "guided",
    "variant",
    *STAGES,
    "together",
    "sampling, times the peer (quartiles)",
]


def write_report(
    rows: Sequence[Row], cold: Sequence[float], arguments: Sequence[str], folder: Path
) -> None:
    """Write speed.json and speed.md into ``folder``; ``cold`` are the seconds of cold starts."""
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.generation_speed", *arguments])
    machine = hardware()
    summaries = [
        {**asdict(row), "seconds_a_picture": row.per_picture, "ratio": row.ratio} for row in rows
    ]
    report = {"command": command, "machine": machine, "cold_starts": list(cold), "rows": summaries}
    write_text(folder / "speed.json", json.dumps(report, indent=1) + "\n")
    started = f"{median(cold):.3g} s (median of {len(cold)})" if cold else "not measured"
    lines = [
        "# Speed of generation",
        "",
        f"`{command}`, {len(rows[0].peer_sampling)} turns of each variant.",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        f"`textok generate` for one picture, from a cold start: {started}.",
        "",
        "Seconds a picture, medians over the turns, each picture of a prompt of its own. The peer "
        f"is `{rows[0].variant.name}`: the same sampler over the same network, which at each step "
        "reads the text and computes every block's modulation anew.",
        "",
        *markdown_table(HEADS, [row.cells() for row in rows]),
        "",
    ]
    write_text(folder / "speed.md", "\n".join(lines))
