"""The report of `benchmarks.gpu`: written after every row, and read again to go on."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.parts_report import OUR_STEPS, PEER_STEPS, Part
from benchmarks.speed_report import hardware
from textok.config.check import require
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text

DONE = "done"
WAYS = ("eager", "recorded", "fused", "compiled", "autotuned")
GOALS = ((PEER_STEPS, "eager", 25.0), (OUR_STEPS, "compiled", 93.5))
"""Steps of ours, the original's way, and how many times as fast as it a picture is to be drawn."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What is known of a row."""

    row: str
    state: str
    """``done``, or why it is not."""
    seconds: float
    """That it took."""
    parts: list[Part]
    flops: dict[str, float]
    """An image, of the parts where they were counted."""


@dataclass(kw_only=True)
class Report:
    """All results so far, in the order of the rows."""

    folder: Path
    command: str
    sizes: dict[str, Any]
    peak: float
    """FLOP/s."""
    source: str
    """Where ``peak`` is from."""
    machine: dict[str, str]
    results: dict[str, Result] = field(default_factory=dict)

    def done(self, row: str) -> bool:
        return row in self.results and self.results[row].state == DONE

    def add(self, result: Result) -> None:
        """Keep a result, in place of an earlier one of that row, and write the files."""
        self.results[result.row] = result
        self.folder.mkdir(parents=True, exist_ok=True)
        known = {
            name: value for name, value in vars(self).items() if name not in ("folder", "results")
        }
        known["rows"] = [asdict(one) for one in self.results.values()]
        write_text(self.folder / "gpu.json", json.dumps(known, indent=1) + "\n")
        write_text(self.folder / "gpu.md", "\n".join(self._page()))

    def _page(self) -> list[str]:
        rows = [self._cells(row, part) for row in self.results.values() for part in _cases(row)]
        heads = ["part", "images", *(f"{way} ms" for way in WAYS), "images/s", "share of the peak"]
        missing = [[one.row, one.state] for one in self.results.values() if one.state != DONE]
        return [
            "# A GPU in six minutes",
            "",
            f"`{self.command}`",
            "",
            ", ".join(f"{name} {value}" for name, value in self.machine.items()) + ".",
            "",
            "Milliseconds of a call, at the sizes of the papers, in bf16 (training: autocast), "
            "with random weights. Recorded: the launches of eager kernels, replayed as one CUDA "
            "graph; fused: the same with Triton kernels for norms and gated sums; compiled: block "
            "by block, then recorded where nothing is learnt; autotuned: compiled with matrix "
            "products found by trying. Images/s and the share are of the fastest "
            "way. FLOPs are the model's, as torch counts them; the "
            f"peak is {self.peak / 1e12:.4g} TFLOP/s ({self.source}).",
            "",
            *markdown_table(heads, rows),
            "",
            *([*markdown_table(["row not complete", "why"], missing), ""] if missing else []),
            *_pictures([part for row in self.results.values() for part in row.parts]),
        ]  # fmt: skip

    def _cells(self, result: Result, case: tuple[str, int]) -> list[str]:
        part, images = case
        found = {one.way: one.ms for one in result.parts if (one.part, one.images) == case}
        best = min(found.values())
        share = ""
        if part in result.flops:
            rate = result.flops[part] * images / (best / 1000)
            share = f"{100 * rate / self.peak:.1f} %"
        times = [f"{found[way]:.4g}" if way in found else "" for way in WAYS]
        return [part, str(images), *times, f"{1000 * images / best:.4g}", share]


def _cases(result: Result) -> list[tuple[str, int]]:
    return list(dict.fromkeys((one.part, one.images) for one in result.parts))


def _pictures(parts: Sequence[Part]) -> list[str]:
    """How many times as fast as the original one picture is drawn, in each way."""
    ms = {(one.part, one.way): one.ms for one in parts if one.images == 1}

    def fastest(part: str, *ways: str) -> float:
        return min(ms.get((part, way), math.inf) for way in ways)

    originals = {
        name: PEER_STEPS * fastest("DiT-XL/2 step", *ways) + fastest("SD-VAE decoding", *ways)
        for name, ways in {"eager": ["eager"], "compiled": WAYS}.items()
    }
    cases = [
        (f"{name}, {steps} steps", way, fastest(f"{name}, picture in {steps}", way) + before)
        for name, steps in (
            ("TexTok", PEER_STEPS), ("TexTok", OUR_STEPS), ("MeanFlow", OUR_STEPS), ("MeanFlow", 1)
        )
        for before in [
            0.0 if name == "TexTok" else fastest(f"MeanFlow, prepare {steps}", "eager")
        ]
        for way in WAYS
    ]  # fmt: skip
    both = originals.values()
    rows = [
        [case, way, f"{own:.4g}", *(f"{original / own:.1f}" for original in both)]
        for case, way, own in cases
        if math.isfinite(own + max(both))
    ]
    if not rows:
        return []
    eager, fast = (f"{original:.4g} ms" for original in both)
    return [
        "## A picture",
        "",
        f"The original is DiT-XL/2 in {PEER_STEPS} steps with guidance and the SD-VAE, from the "
        f"times above: eager {eager}, compiled and recorded {fast}. TexTok: a whole picture from "
        "its seed on, in as many steps of the same sampler, or by DPM-Solver++; MeanFlow without "
        "the noise.",
        "",
        *markdown_table(["ours", "way", "ms", "times the original eager", "compiled"], rows),
        "",
        *(_goal(originals[way] / fastest(f"TexTok, picture in {steps}", *WAYS), steps, way, goal)
          for steps, way, goal in GOALS),
        "",
    ]  # fmt: skip


def _goal(ratio: float, steps: int, way: str, goal: float) -> str:
    if not ratio > 0:
        return f"- Goal in {steps} steps: {goal:g} times the original {way}; not measured."
    verdict = "reached" if ratio >= goal else "not reached"
    return f"- Goal in {steps} steps: {goal:g} times the original {way}; {ratio:.1f}, {verdict}."


def open_report(
    folder: Path, arguments: Sequence[str], sizes: object, peak: tuple[float, str]
) -> Report:
    """The report in ``folder``, with what an earlier call found.

    Raises ValueError where that was of other sizes or of another machine, or is damaged.
    """
    report = Report(
        folder=folder,
        command=shlex.join(["python", "-m", "benchmarks.gpu", *arguments]),
        sizes=json.loads(json.dumps(asdict(sizes))),  # type: ignore[call-overload]
        peak=peak[0],
        source=peak[1],
        machine=hardware(),
    )
    path = folder / "gpu.json"
    if not path.exists():
        return report
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        same = (found["sizes"], found["machine"]) == (report.sizes, report.machine)
        results = [
            Result(**{**one, "parts": [Part(**part) for part in one["parts"]]})
            for one in found["rows"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no report of this command ({error}): move it away") from None
    require(same, f"{path} is of another machine or other sizes: name another --out")
    report.results = {one.row: one for one in results}
    return report
