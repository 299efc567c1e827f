"""What was measured, as ``summary.json`` and as tables; what is written below them stays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studies.alignment.steps import GENERATOR, GENERATORS, KINDS, TARGET, TOKENIZER, TOKENS, Study
from studies.notes import write_noted
from studies.pairs.summary import describe_hardware
from textok.evaluate import read_generation_report
from textok.evaluate.markdown import markdown_table
from textok.evaluate.report import read_report
from textok.runtime.files import write_text


def found_in(study: Study, commands: Sequence[str]) -> dict[str, Any]:
    """What was measured so far, as ``summary.json`` has it."""
    tokenizers, generators = {}, {}
    for kind in KINDS:
        path = study.tokenizer(kind) / "test" / "report.json"
        if path.exists():
            report = read_report(path)
            row = report.judged[0]
            tokenizers[kind] = {
                "frechet": {report.metric: row.frechet, **row.other_frechet},
                "psnr": row.metrics["psnr"].mean,
                "not_comparable": report.not_comparable,
            }
    for drawn in GENERATORS:
        path = study.generator(drawn) / "test" / "report.json"
        if path.exists():
            drawing = read_generation_report(path)
            scores = drawing.scores
            generators[drawn.name] = {
                "frechet": {drawing.metric: scores.frechet, **scores.other_frechet},
                "precision": scores.manifold.precision,
                "recall": scores.manifold.recall,
                "retrieval_at_1": scores.alignment and scores.alignment.drawn.at_1.mean,
                "not_comparable": drawing.not_comparable,
            }
    budget = {name: value for name, value in asdict(study.budget).items() if name != "speed"}
    return {
        "commands": list(commands),
        "budget": budget,
        "hardware": describe_hardware(),
        "tokenizers": tokenizers,
        "generators": generators,
    }


def write_results(found: Mapping[str, Any], out: Path) -> None:
    """Write ``summary.json`` and ``README.md``; what was written by hand below its tables stays."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "summary.json", json.dumps(found, indent=1) + "\n")
    write_noted(out / "README.md", page(found))


def page(found: Mapping[str, Any]) -> str:
    """The tables as Markdown."""
    budget, hardware = found["budget"], found["hardware"]
    parts = [
        "# What alignment with a frozen network is worth",
        f"Products at 64 px, K = {TOKENS}. Tokenizers (`{TOKENIZER}`, {budget['steps']} steps of "
        f"{budget['batch']}) without and with VF alignment ({budget['tokenizer_weight']:g} times "
        f"the adaptive weight); DiTs (`{GENERATOR}`, {budget['generator_steps']} steps of "
        f"{budget['generator_batch']}) without and with REPA ({budget['generator_weight']:g}), "
        f"both towards {TARGET}. Seed {budget['seed']} everywhere.",
        "\n".join(f"    {command}" for command in found["commands"]),
    ]
    metrics = _metrics(found)
    for title, key, columns in (
        ("Reconstructions of held-out products", "tokenizers", {"psnr": "PSNR dB ↑"}),
        (
            "Pictures drawn from held-out names",
            "generators",
            {"precision": "precision ↑", "recall": "recall ↑", "retrieval_at_1": "retrieval@1 ↑"},
        ),
    ):
        rows = [
            [
                name.replace("-", " "),
                *(_distance(entry, metric) for metric in metrics),
                *(_number(entry[column], 3) for column in columns),
            ]
            for name, entry in found[key].items()
        ]
        if rows:
            heads = [f"{metric} ↓" for metric in metrics]
            table = markdown_table([key[:-1], *heads, *columns.values()], rows)
            parts.append("\n".join([f"## {title}", "", *table]))
    parts.append(
        f"† in the network that was aligned with: no verdict. {budget['limit']} test pictures; "
        f"{hardware['gpu'] or hardware['cpu']}, {hardware['threads']} threads, torch "
        f"{hardware['torch']}."
    )
    return "\n\n".join(parts) + "\n"


def _metrics(found: Mapping[str, Any]) -> list[str]:
    """Distances that were measured, that of the first judge first."""
    every = [*found["tokenizers"].values(), *found["generators"].values()]
    return list(dict.fromkeys(metric for entry in every for metric in entry["frechet"]))


def _distance(entry: Mapping[str, Any], metric: str) -> str:
    mark = " †" if metric in entry["not_comparable"] else ""
    return _number(entry["frechet"].get(metric), 2) + mark


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
