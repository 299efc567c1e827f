"""A pair of nested tokenizers, measured at several numbers of their tokens.

One pair of trainings tells what the caption is worth at each of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from studies.pairs.found import Entry, frechets
from studies.pairs.gains import gain
from studies.pairs.study import PAIR, SPLIT
from studies.steps import Step, words
from textok.evaluate.markdown import markdown_table

GUIDANCE = 3
"""On the caption; the best of 2, 3, 5 and 8 at four tokens of photographs."""
GUIDED = "guided"
"""Folder, in the run, of what was measured with it."""
WAYS = {
    "no text": "none",
    "caption": "both",
    f"caption, guidance {GUIDANCE}": GUIDED,
    "caption left out": "absent",
}
"""Columns of the tables, and their names in the entry."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What all measurements of a pair have in common."""

    data: Path
    counts: Sequence[int]
    """Numbers of tokens that it is decoded from."""
    limit: int
    """Test images."""
    speed: float
    """Of measuring, in images a second."""
    flags: tuple[str, ...]
    captions: tuple[str, ...] = ("true", "absent")
    guided: bool = True
    """Whether the one with the caption is also measured with guidance on it."""


def measuring_steps(runs: Mapping[str, Path], measurement: Measurement) -> dict[str, list[Step]]:
    """By the place of the text."""
    both = [_step(runs["both"], SPLIT, measurement)]
    if measurement.guided:
        step = _step(runs["both"], GUIDED, replace(measurement, captions=("true",)))
        guidance = words("--caption-guidance", GUIDANCE)
        both.append(replace(step, command=(*step.command, *guidance)))
    none = _step(runs["none"], SPLIT, replace(measurement, captions=("absent",)))
    return {"none": [none], "both": both}


def _step(run: Path, folder: str, measurement: Measurement) -> Step:
    counts, captions = measurement.counts, measurement.captions
    measure = words("evaluate", "reconstruction", run / "model", measurement.data)
    place = words("--split", SPLIT, "--out", run / folder, "--limit", measurement.limit)
    kinds = words("--caption-modes", *captions, "--num-tokens", *counts)
    return Step(
        command=(*measure, *place, *measurement.flags, *kinds),
        done=run / folder / "report.json",
        seconds=len(counts) * len(captions) * measurement.limit / measurement.speed,
    )


def nested_entry(runs: Mapping[str, Path]) -> Entry | None:
    """Distances and metrics by number of tokens, of each way to decode; None before that.

    ``gain_percent``: how much lower each distance is with the caption, by guidance.
    """
    none, both = (runs[text] for text in PAIR)
    ways = {
        "none": rows_of(none / SPLIT, "absent"),
        "both": rows_of(both / SPLIT, "true"),
        "absent": rows_of(both / SPLIT, "absent"),
        GUIDED: rows_of(both / GUIDED, "true"),
    }
    if not any(ways.values()):
        return None
    gains = {way: _gains(ways["none"], ways[way]) for way in ("both", GUIDED)}
    return {**ways, "guidance": GUIDANCE, "gain_percent": gains}


def rows_of(report: Path, source: str) -> Entry:
    """Of the report in a folder, by number of tokens; empty before it is there."""
    path = report / "report.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {
        str(row["tokens"]): {
            "frechet": frechets(found["metric"], row),
            **{name: value["mean"] for name, value in row["metrics"].items()},
        }
        for row in found["rows"]
        if row["source"] == source
    }


def _gains(without: Entry, with_text: Entry) -> Entry:
    return {
        count: {
            metric: gain(_distances(without[count]).get(metric), distance)
            for metric, distance in _distances(row).items()
        }
        for count, row in with_text.items()
        if count in without
    }


def _distances(row: Entry) -> dict[str, float]:
    """What is lower where it is better."""
    return {**row["frechet"], **({"LPIPS": row["lpips"]} if "lpips" in row else {})}


def nested_tables(entry: Entry | None) -> list[str]:
    """Lines of a table for each distance, with the gains by the caption, and one for PSNR."""
    nested = entry or {}
    ways = {name: nested.get(way, {}) for name, way in WAYS.items()}
    every = [row for each in ways.values() for row in each.values()]
    counts = sorted({int(count) for each in ways.values() for count in each})
    lines = []
    for metric in dict.fromkeys(name for row in every for name in _distances(row)):
        rows = []
        for count in map(str, counts):
            found = [
                _distances(way[count]).get(metric) if count in way else None
                for way in ways.values()
            ]
            gained = (nested["gain_percent"][way].get(count, {}) for way in ("both", GUIDED))
            rows.append([count, *map(_number, (*found, *(gains.get(metric) for gains in gained)))])
        heads = ["tokens", *(f"{name} ↓" for name in ways), "gain %", "gain %, guided"]
        lines += [metric + ":", "", *markdown_table(heads, rows), ""]
    if any("psnr" in row for row in every):
        rows = [
            [str(count), *(_number(way.get(str(count), {}).get("psnr")) for way in ways.values())]
            for count in counts
        ]
        heads = ["tokens", *(f"{name} ↑" for name in ways)]
        lines += ["PSNR, dB:", "", *markdown_table(heads, rows), ""]
    return lines


def _number(value: float | None) -> str:
    """Two digits, and three below 1."""
    return "–" if value is None else f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
