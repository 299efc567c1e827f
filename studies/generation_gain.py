"""What a text-conditioned tokenizer is worth to a generator: the paper's second claim.

For each number of tokens the same text-conditioned DiT is trained on the latents of the tokenizer
with the caption and of its no-text baseline, which studies.text_gain trains. With the baseline the
caption goes to the DiT alone.

    python -m studies.generation_gain --data data/pictograms-64 --runs runs/study
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from studies import text_gain
from studies.command import run_command
from studies.drawing import (
    extract_step,
    judge_step,
    quality_table,
    reports_in,
    train_step,
    write_comparison,
)
from studies.steps import Step, budget_name, run_steps, words
from studies.text_gain import SPLITS, Member
from textok.evaluate import GenerationReport
from textok.evaluate.markdown import markdown_table, mean_and_range
from textok.evaluate.plot import plot_frechet

PLACES = ("none", "both")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is trained, on tokenizers of the same budget of studies.text_gain."""

    tokens: tuple[int, ...]
    seeds: tuple[int, ...]
    """Of the tokenizer and of its generator."""
    splits: tuple[str, ...]
    """Of the data, to draw for."""
    flags: tuple[str, ...]
    """What differs from the preset dit-study-64."""


BUDGETS = {
    "cpu": Budget(tokens=(2, 4), seeds=(0,), splits=("test",), flags=()),
    # Not run yet.
    "gpu": Budget(
        tokens=(2, 4, 8, 16),
        seeds=(0, 1),
        splits=SPLITS,
        flags=tuple(
            "--generator.network.width 384 --generator.network.depth 12 "
            "--generator.network.heads 6 --run.steps 6000".split()
        ),
    ),
}


def members(budget: Budget) -> Iterator[Member]:
    """Pairs, so that an unfinished study already compares."""
    for seed in budget.seeds:
        for tokens in budget.tokens:
            for text in PLACES:
                yield Member(tokens=tokens, text=text, seed=seed)


def folder_of(member: Member, runs: Path) -> Path:
    """Latents, generator and judgements of one member."""
    return runs / "generation" / member.name


def steps_of(member: Member, name: str, data: Path, runs: Path) -> Iterator[Step]:
    """The tokenizer, unless it is there; its latents, a generator, and its pictures."""
    yield next(text_gain.steps_of(member, text_gain.BUDGETS[name], data, runs))
    place = folder_of(member, runs)
    latents, run = place / "latents", place / "generator"
    yield extract_step(runs / member.name / "model", data, latents, caches=runs)
    flags = (*BUDGETS[name].flags, *words("--run.seed", member.seed))
    yield train_step("dit-study-64", latents, run, caches=runs, flags=flags)
    for split in BUDGETS[name].splits:
        yield judge_step(run / "model", data, place / split, split=split, caches=runs)


Found = Mapping[Member, GenerationReport]


def write_tables(found: Found, command: str, out: Path) -> None:
    """Write ``comparison.md`` and ``comparison.png`` from the reports of one split."""
    kinds: dict[tuple[str, int], list[GenerationReport]] = {}
    for member in sorted(found, key=lambda one: (one.tokens, one.text != "none", one.seed)):
        kinds.setdefault((member.text, member.tokens), []).append(found[member])
    rows = [
        ([str(tokens), text, str(len(reports))], reports)
        for (text, tokens), reports in kinds.items()
    ]
    quality = quality_table(["tokens", "text", "seeds"], rows)
    reports = list(found.values())
    write_comparison(out, command, reports, quality, gain_table(found))
    distances = {kind: [one.scores.frechet for one in each] for kind, each in kinds.items()}
    plot_frechet(reports[0].metric, distances, out)


def gain_table(found: Found) -> list[str]:
    """How much lower the distance is with the caption in the tokenizer, seed by seed, in %."""
    rows, means = [], []
    for tokens in sorted({member.tokens for member in found}):
        gains = []
        for seed in sorted({member.seed for member in found}):
            pair = [found.get(Member(tokens=tokens, text=text, seed=seed)) for text in PLACES]
            none, both = (report and report.scores.frechet for report in pair)
            if none and both:
                gains.append(100 * (1 - both / none))
        if gains:
            means.append(sum(gains) / len(gains))
            rows.append([str(tokens), mean_and_range(gains, 1)])
    if not rows:
        return []
    metric = next(iter(found.values())).metric
    mean = ["mean", f"{sum(means) / len(means):.1f}"]
    return markdown_table(["tokens", f"{metric} gain %, none to both"], [*rows, mean])


def main(
    *,
    data: Path = Path("data/pictograms-64"),
    runs: Path = Path("runs/study"),
    out: Path = Path("docs/results/generation-gain"),
    budget: str = "",
    minutes: float = 0,
) -> None:
    """Train, judge and compare what is not done yet.

    Args:
        data: The pictograms at 64 px.
        runs: Folder of the runs of studies.text_gain; generators go into generation/ there.
        out: Folder of the tables.
        budget: cpu or gpu; without it whichever there is.
        minutes: Begin no step after this many minutes; 0 goes on to the end.
    """
    name, _ = budget_name(budget, BUDGETS, toy=False)
    every = list(members(BUDGETS[name]))
    steps = [step for member in every for step in steps_of(member, name, data, runs)]
    if not run_steps(steps, minutes=minutes):
        print("not complete: the tables hold what is done; run the same command to go on")
    command = f"python -m studies.generation_gain --budget {name}"
    for split in BUDGETS[name].splits:
        found = reports_in({member: folder_of(member, runs) / split for member in every})
        if found:
            write_tables(found, command, out / split)


if __name__ == "__main__":
    run_command(main, "studies.generation_gain")
