"""Measured parts as JSON and Markdown, with what they add up to."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.speed_report import hardware
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text

PEER_STEPS, OUR_STEPS = 250, 16
WAYS = ("eager", "recorded", "compiled")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One call, timed."""

    part: str
    way: str
    images: int
    ms: float
    first_s: float
    """Seconds of the first call, with what was made ready in it."""

    def line(self) -> str:
        return f"{self.part} | {self.images} | {self.way} | {self.ms:.3f} ms"


def write_report(parts: Sequence[Part], arguments: Sequence[str], folder: Path) -> None:
    """Write parts.json and parts.md into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "benchmarks.parts", *arguments])
    report = {"command": command, "machine": hardware(), "parts": [asdict(one) for one in parts]}
    write_text(folder / "parts.json", json.dumps(report, indent=1) + "\n")
    write_text(folder / "parts.md", to_markdown(report, parts))


def to_markdown(report: Mapping[str, object], parts: Sequence[Part]) -> str:
    """The page of a report."""
    machine = report["machine"]
    assert isinstance(machine, dict)
    lines = [
        "# Where the time goes",
        "",
        f"`{report['command']}`",
        "",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        "Milliseconds of a call, all at the sizes of the papers and in bf16 (training: autocast). "
        "Drawing has random weights, 512 px and guidance: a step is of two rows a picture.",
        "",
        *_table(parts),
        "",
    ]
    if totals := _totals(parts):
        lines += [
            "## A picture, from these",
            "",
            f"The original pipeline is DiT-XL/2 and the SD-VAE in {PEER_STEPS} steps: as diffusers "
            "runs it (eager), and with its steps compiled and recorded too. TexTok is compiled "
            f"and recorded: (a) in {PEER_STEPS} steps, (b) in {OUR_STEPS}. The arithmetic between "
            "the network's steps is in neither.",
            "",
            *totals,
            "",
        ]
    return "\n".join(lines)


def _table(parts: Sequence[Part]) -> list[str]:
    found = {(one.part, one.images, one.way): f"{one.ms:.4g}" for one in parts}
    cases = dict.fromkeys((one.part, one.images) for one in parts)
    rows = [[part, str(n), *(found.get((part, n, way), "") for way in WAYS)] for part, n in cases]
    return markdown_table(["part", "images", *WAYS], rows)


def _totals(parts: Sequence[Part]) -> list[str]:
    """How many times as fast TexTok draws, for each number of pictures; empty without drawing."""
    found = {(one.part, one.way, one.images): one.ms for one in parts}
    rows = []
    for images in dict.fromkeys(one.images for one in parts if one.part == "TexTok step"):

        def ms(part: str, *ways: str, images: int = images) -> float:
            return next(found[part, way, images] for way in ways if (part, way, images) in found)

        prepare = next(one.ms for one in parts if "prepare" in one.part and one.images == images)
        step = ms("TexTok step", "compiled", "eager")
        rest = prepare + ms("TexTok decoding", "recorded", "eager")
        ours = [steps * step + rest for steps in (PEER_STEPS, OUR_STEPS)]
        row = [str(images), *(f"{total / images:.4g}" for total in ours)]
        for way in ("eager", "compiled"):
            peer = PEER_STEPS * ms("DiT-XL/2 step", way, "eager")
            recorded = ["recorded"] if way == "compiled" else []
            peer += ms("SD-VAE decoding", *recorded, "eager")
            row += [f"{peer / images:.4g}", *(f"{peer / total:.1f}" for total in ours)]
        rows.append(row)
    heads = ["images at once", "TexTok (a) ms", "(b) ms"]
    for name in ("original", "original compiled"):
        heads += [f"{name} ms", "over (a)", "over (b)"]
    return markdown_table(heads, rows) if rows else []
