"""Pictures of a class: what the decoder is told of it.

A DiT that knows classes alone, on the latents of a tokenizer whose decoder reads a caption. Which
one is at hand when a class is all that was asked for?

    textok train tokenizer pictograms-64
    python -m studies.by_class --data data/pictograms-64 --tokenizer runs/pictograms-64/model
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studies.command import run_command
from studies.drawing import (
    extract_step,
    judge_step,
    quality_table,
    reports_in,
    train_step,
    write_comparison,
)
from studies.steps import Step, budget_name, run_steps
from textok.evaluate import GenerationReport

WHERE = "style!=openmoji"
CAPTIONS = {
    "held_out": "a caption of the class, not seen in training",
    "class_name": "a photo of a ... (name of the class)",
    "none": "nothing",
}
"""Choices of --decoder-captions, and what they are."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is trained."""

    flags: tuple[str, ...]
    """What differs from the preset dit-pictograms-64-class."""
    judged: tuple[str, ...] = ()
    """Of each judgement."""


BUDGETS = {
    "cpu": Budget(flags=(), judged=("--limit", "250")),
    "gpu": Budget(flags=("--run.steps", "20000")),  # not run yet
}


def folder_of(captions: str, runs: Path) -> Path:
    """Where a judgement lies."""
    return runs / "test" / captions


def steps_of(budget: Budget, tokenizer: Path, data: Path, runs: Path) -> list[Step]:
    """Latents, one generator, and its pictures with each kind of caption: the same tokens."""
    run = runs / "generator"
    latents = extract_step(tokenizer, data, runs / "latents", caches=runs, where=WHERE, flip=True)
    train = train_step(
        "dit-pictograms-64-class", runs / "latents", run, caches=runs, flags=budget.flags
    )
    judge = [
        judge_step(
            run / "model",
            data,
            folder_of(captions, runs),
            split="test",
            caches=runs,
            where=WHERE,
            flags=("--decoder-captions", captions, *budget.judged),
        )
        for captions in CAPTIONS
    ]
    return [latents, train, *judge]


def write_tables(found: Mapping[str, GenerationReport], command: str, out: Path) -> None:
    """Write ``comparison.md``: a row for each kind of caption."""
    rows = [([CAPTIONS[captions]], [report]) for captions, report in found.items()]
    table = quality_table(["the decoder reads"], rows)
    write_comparison(out, command, list(found.values()), table)


def main(
    *,
    tokenizer: Path = Path("runs/pictograms-64/model"),
    data: Path = Path("data/pictograms-64"),
    runs: Path = Path("runs/by-class"),
    out: Path = Path("docs/results/by-class"),
    budget: str = "",
    minutes: float = 0,
) -> None:
    """Train, judge and compare what is not done yet.

    Args:
        tokenizer: Of the preset pictograms-64.
        data: The pictograms at 64 px.
        runs: Folder of the runs.
        out: Folder of the table.
        budget: cpu or gpu; without it whichever there is.
        minutes: Begin no step after this many minutes; 0 goes on to the end.
    """
    name, _ = budget_name(budget, BUDGETS, toy=False)
    if not run_steps(steps_of(BUDGETS[name], tokenizer, data, runs), minutes=minutes):
        print("not complete: the table holds what is done; run the same command to go on")
    found = reports_in({captions: folder_of(captions, runs) for captions in CAPTIONS})
    if found:
        write_tables(found, f"python -m studies.by_class --budget {name}", out)


if __name__ == "__main__":
    run_command(main, "studies.by_class")
