"""``summary.json``: gains, every number behind them, and what they were measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from studies.pairs.found import Entry, generator_entry, judged, tokenizer_entry
from studies.pairs.gains import Distances, doubled, gains, one_sided
from studies.pairs.study import Study, every_generator, members
from studies.text_gain import Member
from textok.runtime.files import write_text

GOALS = {"tokenizer": 29.2, "generator": 16.3}
"""Percent, the paper's mean gains on ImageNet (arXiv 2412.05796, section 5)."""
HARDWARE = "hardware.json"


def summary(study: Study, commands: Sequence[str]) -> dict[str, Any]:
    """Everything that was measured; None for what was not."""
    budget = study.budget
    tokenizers = [found for one in members(budget) if (found := tokenizer_entry(one, study))]
    drawn = [found for one in every_generator(study) if (found := generator_entry(one, study))]
    distances: Distances = {_member(entry): judged(entry) for entry in tokenizers}
    by_class: Distances = {
        _member(entry): entry["frechet"] for entry in drawn if entry["draws_by"] == _compared(study)
    }
    metrics = list(dict.fromkeys(name for one in distances.values() for name in one))
    seeds, tokens = budget.seeds, sorted(budget.tokens)
    at = [budget.generators_at] if budget.generators_at else []
    gained = gains(distances, metrics=metrics, seeds=seeds, tokens=tokens)
    drawn_gained = gains(by_class, metrics=metrics, seeds=seeds, tokens=at)
    twice = doubled(distances, metrics=metrics, seeds=seeds, tokens=tokens)
    sides = one_sided(distances, metrics=metrics, seeds=seeds, tokens=budget.places_at)
    return {
        "tokenizer_fd_gain_percent_mean": _first(gained, metrics),
        "generator_fd_gain_percent_mean": _first(drawn_gained, metrics),
        "metric": metrics[0] if metrics else None,
        "goals_percent": GOALS,
        "tokenizer_fd_gain_percent": gained,
        "generator_fd_gain_percent": drawn_gained,
        "gain_percent_over_twice_the_tokens": twice,
        "one_sided_gain_percent": sides,
        "seeds": sorted({entry["seed"] for entry in tokenizers}),
        "images_seen": _common(tokenizers, "images_seen"),
        "rows_seen": _common(drawn, "rows_seen"),
        "trained_in": _common(tokenizers, "trained_in"),
        "measured_images": _common(tokenizers, "measured_images"),
        "hardware": read_hardware(study.runs),
        "commands": list(commands),
        "tokenizers": tokenizers,
        "generators": drawn,
    }


def _compared(study: Study) -> str:
    """What the generators that are compared draw by: classes, where there are any."""
    return study.generators[0][0]


def _member(entry: Entry) -> Member:
    return Member(tokens=entry["tokens"], text=entry["text"], seed=entry["seed"])


def _first(gained: Mapping[str, Any], metrics: Sequence[str]) -> float | None:
    """The mean in the network that counts."""
    return gained[metrics[0]]["mean"] if metrics else None


def _common(entries: Sequence[Entry], name: str) -> Any:
    """The value that all entries have; None without entries or where they differ."""
    values = {entry[name] for entry in entries}
    return values.pop() if len(values) == 1 else None


def write_summary(found: Mapping[str, Any], out: Path) -> None:
    """Write ``out/summary.json``."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    write_text(out / "summary.json", text + "\n")


def describe_hardware() -> dict[str, Any]:
    """Processor, cores, torch, and the GPU where there is one."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": cpu_name(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "torch": torch.__version__,
    }


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def note_hardware(runs: Path) -> None:
    """Write down what machine the runs are made on, beside them."""
    runs.mkdir(parents=True, exist_ok=True)
    write_text(runs / HARDWARE, json.dumps(describe_hardware(), indent=1) + "\n")


def read_hardware(runs: Path) -> Any:
    """What ``note_hardware`` wrote; None where nothing ran."""
    path = runs / HARDWARE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
