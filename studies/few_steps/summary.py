"""``summary.json``: distances, recall and text alignment of each model by sampling steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from studies.drawing import reports_in, retrieval
from studies.few_steps.steps import (
    MODELS,
    Model,
    Study,
    chosen_scale,
    rows_seen,
    tried_at,
    tried_distances,
)
from studies.pairs.summary import read_hardware
from textok.evaluate import GenerationReport
from textok.evaluate.generation_report import Scores
from textok.runtime.run_log import read_log
from textok.train.run_logger import RATE

GOALS = {"one_step_percent": 10.0, "two_steps_percent": 0.0, "speedup_512": 2_000}
"""By how much MeanFlow's distance may exceed flow's best in one and two steps, and how many times
as fast as the original DiT-XL/2 pipeline at 512 px one step is to be."""
ONE_STEP = "TexTok (c)"
"""Row of ``benchmarks.sampling``."""
Found = Mapping[Model, Mapping[int, GenerationReport]]
Numbers = dict[str, float]
"""By sampling steps."""


def summary(study: Study, commands: Sequence[str], speed: Path) -> dict[str, Any]:
    """Everything that was measured; None, or no entry, for what was not.

    ``speed`` is the sampling.json of ``benchmarks.sampling``.
    """
    found: Found = {
        model: reports_in({steps: study.measured(model, steps) for steps in study.budget.steps})
        for model in MODELS
    }
    every = [report for reports in found.values() for report in reports.values()]
    metrics = list(_distances(every[0])) if every else []
    networks = {metric: network(found, metric, study.budget.steps) for metric in metrics}
    first = networks[metrics[0]] if metrics else network({}, "", study.budget.steps)
    return {
        "meanflow_fd_by_steps": first["meanflow"],
        "flow_fd_by_steps": first["flow"],
        "best_flow_fd": first["best_flow"],
        "speedup_512": read_speedup(speed),
        "meanflow_from_flow_fd_by_steps": first["meanflow-from-flow"],
        "metric": metrics[0] if metrics else None,
        "goals": GOALS,
        "by_network": networks,
        "not_comparable": every[0].not_comparable if every else [],
        "precision_by_steps": by_steps(found, lambda scores: scores.manifold.precision),
        "recall_by_steps": by_steps(found, lambda scores: scores.manifold.recall),
        "alignment_by_steps": by_steps(found, alignment),
        "alignment_measure": _alignment_measure(every),
        "guidance": {model: _guidance(model, study) for model in MODELS},
        "training_cost_ratio": training_cost_ratio(study),
        "rows_seen": {
            model: rows_seen(model, study.budget)
            for model in MODELS
            if (study.run(model) / "report.md").exists()
        },
        "measured_images": study.budget.limit if every else None,
        "data": study.data.name,
        "tokenizer": study.tokenizer,
        "num_tokens": study.num_tokens or None,
        "generator": study.generator,
        "seeds": [study.budget.seed],
        "hardware": read_hardware(study.runs),
        "commands": list(commands),
    }


def network(found: Found, metric: str, steps: Sequence[int]) -> dict[str, Any]:
    """Distances in one feature network by steps, flow's lowest, and MeanFlow's excess over it.

    The last two are None and empty before flow is measured in all of ``steps``.
    """
    distances: dict[str, Numbers] = {
        model: {
            str(count): _distances(report)[metric] for count, report in found.get(model, {}).items()
        }
        for model in MODELS
    }
    flow = distances["flow"]
    best = min(flow.values()) if len(flow) == len(steps) else None
    excess = {
        model: {
            count: 100 * (value / best - 1) for count, value in distances[model].items() if best
        }
        for model in MODELS[1:]
    }
    return {**distances, "best_flow": best, "over_best_flow_percent": excess}


def by_steps(found: Found, measure: Callable[[Scores], float | None]) -> dict[str, Numbers]:
    """Of each model what ``measure`` says of its reports, by steps."""
    return {
        model: {
            str(steps): value
            for steps, report in reports.items()
            if (value := measure(report.scores)) is not None
        }
        for model, reports in found.items()
    }


def alignment(scores: Scores) -> float | None:
    """Class accuracy of generators by class, retrieval at 1 of those by text."""
    if scores.class_accuracy is not None:
        return scores.class_accuracy.drawn.mean
    return retrieval(scores)


def training_cost_ratio(study: Study) -> float | None:
    """Time of a row of MeanFlow's training over that of a row of flow's, medians of the logs.

    Of both MeanFlow trainings the quicker, as other work may have shared the machine.
    """
    rates: dict[Model, float] = {}
    for model in MODELS:
        found = [line[RATE] for line in read_log(study.run(model)) if line.get(RATE)]
        if found:
            rates[model] = median(found)
    quickest = max((rate for model, rate in rates.items() if model != "flow"), default=None)
    return rates["flow"] / quickest if "flow" in rates and quickest else None


def read_speedup(path: Path) -> float | None:
    """How many times as fast as its peer one MeanFlow step of 32 tokens is, one picture in fp32.

    None before it was measured.
    """
    if not path.exists():
        return None
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        case = (row["name"], row["tokens"], row["precision"], row["pictures"])
        if case == (ONE_STEP, 32, "fp32", 1):
            ratio: float = row["ratio"]
            return ratio
    return None


def _distances(report: GenerationReport) -> Numbers:
    """In each network by the name of the distance, first that which counts."""
    return {report.metric: report.scores.frechet, **report.scores.other_frechet}


def _alignment_measure(reports: Sequence[GenerationReport]) -> str | None:
    """What ``alignment`` is of these reports."""
    if not reports:
        return None
    return "retrieval@1" if reports[0].scores.class_accuracy is None else "class accuracy"


def _guidance(model: Model, study: Study) -> dict[str, Any]:
    distances = tried_distances(model, study)
    return {
        "chosen": chosen_scale(model, study),
        "at_steps": tried_at(model, study.budget),
        "validation_fd_by_scale": {f"{scale:g}": value for scale, value in distances.items()},
    }
