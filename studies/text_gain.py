"""What the caption is worth at equal tokens: TexTok against its no-text baseline on pictograms.

The paper's Table 2 and its ablation of where the text goes in, on held-out concepts (``test``) and
on held-out styles of known concepts (``test_seen``).

    python -m studies.text_gain --data data/pictograms-64 --runs runs/study
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studies.command import run_command
from studies.curves import draw_curves
from studies.steps import JUDGE, Step, budget_name, run_steps, words

SPLITS = ("test", "test_seen")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is trained."""

    tokens: tuple[int, ...]
    """K of every pair of TexTok and baseline."""
    places_at: int
    """K at which the text also goes into one side alone."""
    seeds: tuple[int, ...]
    flags: tuple[str, ...]
    """What differs from the preset study-64."""


BUDGETS = {
    "cpu": Budget(tokens=(2, 4), places_at=4, seeds=(0, 1), flags=()),
    "gpu": Budget(
        tokens=(2, 4, 8, 16),
        places_at=4,
        seeds=(0, 1),
        flags=tuple(
            "--tokenizer.encoder.width 384 --tokenizer.encoder.depth 6 --tokenizer.encoder.heads 6 "
            "--tokenizer.decoder.width 384 --tokenizer.decoder.depth 6 --tokenizer.decoder.heads 6 "
            "--run.batch-size 256 --run.steps 3000 --optim.muon-lr 3e-2 --data.workers 12".split()
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Member:
    """One tokenizer of the study."""

    tokens: int
    text: str
    seed: int

    @property
    def name(self) -> str:
        return f"k{self.tokens}-{self.text}-s{self.seed}"


def members(budget: Budget) -> Iterator[Member]:
    """Pairs first, so that an unfinished study already compares; then the places of the text."""
    for seed in budget.seeds:
        for tokens in budget.tokens:
            for text in ("none", "both"):
                yield Member(tokens=tokens, text=text, seed=seed)
    for seed in budget.seeds:
        for text in ("encoder", "decoder"):
            yield Member(tokens=budget.places_at, text=text, seed=seed)


def steps_of(member: Member, budget: Budget, data: Path, runs: Path) -> Iterator[Step]:
    """Train one tokenizer, then measure it on both splits beside PCA with as many numbers."""
    run, cache = runs / member.name, runs / "text-cache"
    train = ("train", "tokenizer", "study-64", *budget.flags, "--tokenizer.text", member.text)
    where = ("--tokenizer.num-tokens", member.tokens, "--run.seed", member.seed, "--run.out", run)
    place = ("--data.path", data, "--text.cache", cache)
    yield Step(command=words(*train, *where, *place), done=run / "report.md")
    for split in SPLITS:
        out = run / split
        measure = (
            "evaluate",
            "reconstruction",
            run / "model",
            data,
            "--split",
            split,
            "--out",
            out,
            *JUDGE,
        )
        caches = ("--text-cache", cache, "--pca", "--pca-cache", runs / "pca")
        # Other captions are a question of their own, asked once; they take most of the time.
        every = split == SPLITS[0] and member.seed == budget.seeds[0]
        captions = () if every else ("--caption-modes", "true")
        yield Step(command=words(*measure, *caches, *captions), done=out / "report.json")


def write_tables(budget: Budget, runs: Path, out: Path) -> None:
    """Compare what is complete: one table and plot for each split, and the training curves."""
    for split in SPLITS:
        reports = [runs / member.name / split / "report.json" for member in members(budget)]
        found = [str(report) for report in reports if report.exists()]
        compare = words("evaluate", "compare", *found, "--out", out / split)
        (out / split / "comparison.md").unlink(missing_ok=True)
        run_steps([Step(command=compare, done=out / split / "comparison.md")])
    trained = [runs / member.name for member in members(budget)]
    draw_curves([run for run in trained if (run / "report.md").exists()], out / "curves.png")


def main(
    *,
    data: Path = Path("data/pictograms-64"),
    runs: Path = Path("runs/study"),
    out: Path = Path("docs/results/text-gain"),
    budget: str = "",
    minutes: float = 0,
) -> None:
    """Train, measure and compare what is not done yet.

    Args:
        data: The pictograms at 64 px.
        runs: Folder of the runs.
        out: Folder of the tables.
        budget: cpu or gpu; without it whichever there is.
        minutes: Begin no step after this many minutes; 0 goes on to the end.
    """
    chosen = BUDGETS[budget_name(budget, BUDGETS, toy=False)[0]]
    steps = [step for member in members(chosen) for step in steps_of(member, chosen, data, runs)]
    if not run_steps(steps, minutes=minutes):
        print("not complete: the tables hold what is done; run the same command to go on")
    write_tables(chosen, runs, out)


if __name__ == "__main__":
    run_command(main, "studies.text_gain")
