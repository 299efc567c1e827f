"""What reports say, as entries of summary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studies.pairs.study import SPLIT, Generator, Study
from studies.text_gain import Member
from textok.config import TrainGeneratorConfig, TrainTokenizerConfig
from textok.config.read import load_config

Entry = dict[str, Any]
JUDGED = ("true", "absent")
"""The row that a tokenizer is compared by: its own captions where it reads any."""


def tokenizer_entry(member: Member, study: Study) -> Entry | None:
    """What was measured of one tokenizer; None before that."""
    run = study.runs / member.name
    if not (run / SPLIT / "report.json").exists():
        return None
    report = _read(run / SPLIT / "report.json")
    config = load_config(TrainTokenizerConfig, [run / "config.yaml"])
    numbers = {
        row["source"]: {"frechet": frechets(report["metric"], row), **row["metrics"]}
        for row in report["rows"]
    }
    gates = report["gates"]
    return {
        "name": member.name,
        "tokens": member.tokens,
        "text": member.text,
        "seed": member.seed,
        "images_seen": config.run.steps * config.run.batch_size,
        "trained_in": config.loss.perceptual_net if config.loss.perceptual else None,
        "not_comparable": report.get("not_comparable", []),
        "measured_images": report["protocol"]["images"],
        "gate_passed": all(gate["passed"] for gate in gates) if gates else None,
        "pca": numbers.pop("pca", None),
        "captions": numbers,
    }


def generator_entry(generator: Generator, study: Study) -> Entry | None:
    """What was measured of one generator; None before that."""
    place = study.runs / "generators" / generator.name
    if not (place / SPLIT / "report.json").exists():
        return None
    report = _read(place / SPLIT / "report.json")
    config = load_config(TrainGeneratorConfig, [place / "config.yaml"])
    scores = report["scores"]
    alignment, copies = scores["alignment"], scores["memorisation"]
    accuracy = scores.get("class_accuracy")
    return {
        "name": generator.name,
        "draws_by": generator.kind,
        "tokens": generator.tokenizer.tokens,
        "text": generator.tokenizer.text,
        "seed": generator.tokenizer.seed,
        "rows_seen": config.run.steps * config.run.batch_size,
        "pictures": scores["pictures"],
        "frechet": frechets(report["metric"], scores),
        "not_comparable": report.get("not_comparable", []),
        "precision": scores["manifold"]["precision"],
        "recall": scores["manifold"]["recall"],
        "class_accuracy": accuracy and accuracy["drawn"],
        "class_accuracy_of_real_images": accuracy and accuracy["real"],
        "retrieval_at_1": alignment and alignment["drawn"]["at_1"],
        "nearer_than_99_percent_of_real": copies and copies["closer"],
    }


def judged(entry: Mapping[str, Any]) -> dict[str, float]:
    """The distances that a tokenizer is compared by."""
    source = next(source for source in JUDGED if source in entry["captions"])
    distances: dict[str, float] = entry["captions"][source]["frechet"]
    return distances


def frechets(metric: str, measured: Mapping[str, Any]) -> dict[str, float]:
    """The distance in each feature network by its name, first the one that counts."""
    return {metric: measured["frechet"], **measured.get("other_frechet", {})}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
