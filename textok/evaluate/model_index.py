"""Reports as the results of a model card: what the hub calls ``model-index``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textok.evaluate.generation_report import GenerationReport, read_generation_report
from textok.evaluate.report import Report, Row, read_report
from textok.runtime.pretrained import read_json

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

RECONSTRUCTION, GENERATION = "image-feature-extraction", "text-to-image"
REPORT = "report.json"
Metric = tuple[str, str, float]
"""Its identifier, its name with what it was measured on, its value."""


def eval_results(folders: Sequence[Path]) -> list[EvalResult]:
    """The results in the ``report.json`` of each folder, one a metric.

    Of a tokenizer those with its true captions (without, where it reads none) at each number of
    tokens. The data are called by the last part of the path that the report names.
    Raises ValueError for a folder without a report.
    """
    return [result for folder in folders for result in _of_folder(folder / REPORT)]


def _of_folder(path: Path) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    is_drawn = "scores" in read_json(path)
    report = read_generation_report(path) if is_drawn else read_report(path)
    data = str(report.protocol.get("data", "")) or "images"
    name = Path(data).name or "images"
    for kind, title, value in _metrics(report):
        if math.isfinite(value):
            yield EvalResult(
                task_type=GENERATION if is_drawn else RECONSTRUCTION,
                task_name="Image generation" if is_drawn else "Image reconstruction",
                dataset_type=name,
                dataset_name=name,
                dataset_split=_text(report.protocol.get("split")),
                metric_type=kind,
                metric_name=title,
                metric_value=float(f"{value:.6g}"),
            )


def _metrics(report: Report | GenerationReport) -> Iterator[Metric]:
    if isinstance(report, Report):
        for row in report.judged:
            yield from _of_row(report.metric, row)
        return
    scores = report.scores
    on = f"({scores.pictures} pictures)"
    distances = {report.metric: scores.frechet, **scores.other_frechet}
    for name, value in distances.items():
        yield _slug(name), f"{name} {on}", value
    for name, found in scores.kernel.items():
        yield _slug(name), f"{name} {on}", found.mean
    yield "precision", f"precision {on}", scores.manifold.precision
    yield "recall", f"recall {on}", scores.manifold.recall
    if scores.inception is not None:
        yield "inception_score", f"Inception Score {on}", scores.inception.mean
    if scores.clip is not None:
        yield "clip_score", f"CLIP score {on}", scores.clip.drawn.mean


def _of_row(metric: str, row: Row) -> Iterator[Metric]:
    captions = "true captions" if row.source == "true" else "no captions"
    on = f"({row.tokens} tokens, {captions})"
    for name, value in row.metrics.items():
        yield name, f"{name.replace('_', ' ').upper()} {on}", value.mean
    for name, distance in {metric: row.frechet, **row.other_frechet}.items():
        yield _slug(name), f"{name} {on}", distance
    for name, found in row.kernel.items():
        yield _slug(name), f"{name} {on}", found.mean


def _slug(name: str) -> str:
    """``FD-DINOv2`` as ``fd_dinov2``."""
    return re.sub(r"\W+", "_", name).strip("_").lower()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
