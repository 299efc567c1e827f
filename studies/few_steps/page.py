"""``README.md`` of the study, made from its summary; what was written below the tables stays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.few_steps.pictures import LABELS
from studies.few_steps.steps import MODELS
from studies.notes import write_noted
from studies.pairs.page import UNKNOWN
from textok.evaluate.markdown import markdown_table

TITLE = "One to four steps: MeanFlow against flow"
ABOUT = """Two objectives for the same DiT on the same latents, at equal rows seen: flow matching
and MeanFlow (arXiv 2512.02012), which learns average velocities and has guidance as a condition, so
that a step is one pass of the network, where guided flow takes two. A third generator is MeanFlow
started from the trained flow, with half as many rows on top of the flow's."""
Found = Mapping[str, Any]


def write_page(found: Found, out: Path, speed: Path) -> None:
    """Write ``out/README.md``, with a link to the report beside ``speed``."""
    pictures = [one for one in ("steps.png", "sheet.webp") if (out / one).exists()]
    report = Path(os.path.relpath(speed.with_suffix(".md"), out)).as_posix()
    write_noted(out / "README.md", page(found, pictures=pictures, report=report))


def page(found: Found, *, pictures: Sequence[str] = (), report: str = "") -> str:
    """The page as Markdown; ``report`` is that of the speed at 512 px."""
    parts = [
        [f"# {TITLE}"],
        [ABOUT],
        [f"    {command}" for command in found["commands"]],
        verdicts(found, report),
        distance_table(found),
        quality_table(found),
        [f"![{name}]({name})" for name in pictures],
        _conditions(found),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def verdicts(found: Found, report: str) -> list[str]:
    """One and two steps beside flow's best, the speed of one step, and the cost of training."""
    lines = []
    goals = found["goals"]
    excess = found["by_network"].get(found["metric"], {}).get("over_best_flow_percent", {})
    for steps, name in (("1", "one step"), ("2", "two steps")):
        goal = goals[f"{name.replace(' ', '_')}_percent"]
        values = {LABELS[model]: excess[model][steps] for model in excess if steps in excess[model]}
        if not values:
            lines.append(f"- MeanFlow in {name}: not measured yet.")
        for label, value in values.items():
            reached = "reached" if value <= goal else "not reached"
            lines.append(
                f"- {label} in {name}: {found['metric']} is {_change(value)} than flow's best at "
                f"any number of steps; the goal is {_allowed(goal)}: {reached}."
            )
    speed, goal = found["speedup_512"], goals["speedup_512"]
    if speed is None:
        lines.append("- Speed of one step at 512 px: not measured yet.")
    else:
        lines.append(
            f"- One step of DiT-XL on 32 tokens and the decoder at 512 px: {speed:,.0f} times as "
            "fast as the original DiT-XL/2 pipeline of 250 steps on the CPU in fp32; the goal is "
            f"{goal:,}: {'reached' if speed >= goal else 'not reached'} "
            f"([report]({report}))."
        )
    ratio = found["training_cost_ratio"]
    if ratio is not None:
        lines.append(f"- A row of MeanFlow's training takes {ratio:.2f} times the time of flow's.")
    return lines


def distance_table(found: Found) -> list[str]:
    """Distances by steps, a row for each network and model; empty before any is measured."""
    steps = _steps(found)
    rows = [
        [
            metric + (" †" if metric in found["not_comparable"] else ""),
            LABELS[model],
            *(_number(distances[model].get(count), 2) for count in steps),
        ]
        for metric, distances in found["by_network"].items()
        for model in MODELS
        if distances[model]
    ]
    heads = ["distance ↓", "generator", *(_heading(count) for count in steps)]
    if not rows:
        return []
    lines = markdown_table(heads, rows)
    if found["not_comparable"]:
        lines += ["", "† in a network that the tokenizer was trained against: no verdict."]
    return lines


def quality_table(found: Found) -> list[str]:
    """Precision, recall and alignment by steps."""
    steps = _steps(found)
    measures = {
        "precision ↑": found["precision_by_steps"],
        "recall ↑": found["recall_by_steps"],
        f"{found['alignment_measure']} ↑": found["alignment_by_steps"],
    }
    rows = [
        [name, LABELS[model], *(_number(values[model].get(count), 3) for count in steps)]
        for name, values in measures.items()
        for model in MODELS
        if values.get(model)
    ]
    return markdown_table(["measure", "generator", *map(_heading, steps)], rows) if rows else []


def _conditions(found: Found) -> list[str]:
    """What the numbers hold for."""
    hardware = found["hardware"] or {}
    machine = hardware.get("gpu") or hardware.get("cpu")
    count = found["measured_images"]
    lines = [
        f"- data: {found['data']}; tokenizer: `{found['tokenizer']}`; tokens: "
        f"{found['num_tokens'] or 'all'}; preset of the generators: `{found['generator']}`; "
        f"seeds: {', '.join(map(str, found['seeds']))}",
        f"- test images that are generated and compared with: {count or UNKNOWN}",
        *(f"- rows seen by {LABELS[model]}: {_rows(found, model)}" for model in found["rows_seen"]),
        *(line for model in MODELS if (line := _guidance(found["guidance"][model], model))),
    ]
    if machine:
        lines.append(f"- made on: {machine}, {hardware['cores']} cores, torch {hardware['torch']}")
    return ["## How it was made", "", *lines, "", "All numbers: [summary.json](summary.json)."]


def _rows(found: Found, model: str) -> str:
    seen = found["rows_seen"]
    more = f", on top of the flow's {seen['flow']:,}" if model == "meanflow-from-flow" else ""
    return f"{seen[model]:,}{more}"


def _guidance(found: Mapping[str, Any], model: str) -> str:
    """Which scale was taken and what the others gave."""
    if found["chosen"] is None:
        return ""
    tried = ", ".join(
        f"{value:.2f} at {scale}" for scale, value in found["validation_fd_by_scale"].items()
    )
    return (
        f"- guidance of {LABELS[model]}: {found['chosen']:g}, by validation images in "
        f"{_heading(str(found['at_steps']))} ({tried})"
    )


def _steps(found: Found) -> list[str]:
    networks = found["by_network"].values()
    known = {int(steps) for one in networks for model in MODELS for steps in one[model]}
    return [str(steps) for steps in sorted(known)]


def _heading(steps: str) -> str:
    return "1 step" if steps == "1" else f"{steps} steps"


def _allowed(percent: float) -> str:
    return f"{percent:g} % higher at most" if percent else "no higher"


def _change(percent: float) -> str:
    return f"{abs(percent):.1f} % {'higher' if percent > 0 else 'lower'}"


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f}"
