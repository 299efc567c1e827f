"""What alignment with the features of a frozen network is worth: to a tokenizer, to a generator.

Tokenizers with VF alignment and without, then DiTs: on the plain tokenizer without REPA and with
it, and without it on the aligned tokenizer. All else is equal, the seed too. The network that is
aligned with judges nothing: distances are in VGG16, which nothing is trained against.

    python -m studies.alignment --data data/products-64 --runs runs/alignment
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studies.alignment.page import found_in, write_results
from studies.alignment.steps import BUDGETS, Study, every_step
from studies.command import refuse, run_command
from studies.pairs.arguments import StudyArguments
from studies.pairs.job import require_splits, run_planned
from studies.steps import budget_name
from studies.subset import write_splits


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyArguments):
    """Train, measure and compare what is not done yet; the same command goes on."""

    data: Path = Path("data/products-64")
    """Images of products with a name each, in train, val and test."""
    runs: Path = Path("runs/alignment")
    out: Path = Path("docs/results/alignment")


def main(arguments: Arguments) -> None:
    """Run the study that ``arguments`` describe."""
    data, runs, out = arguments.data, arguments.runs, arguments.out
    require_splits(data, how="textok data prepare SOURCE OUT --size 64 --fit pad")
    name, flag = budget_name(arguments.budget, BUDGETS, toy=arguments.toy)
    study = Study(budget=BUDGETS[name], data=data, runs=runs)
    try:
        counts = {"train": study.budget.training, "test": study.budget.limit}
        write_splits(data, study.judged, counts)
    except ValueError as error:
        refuse(str(error))
    commands = [f"python -m studies.alignment {flag}"]
    run_planned(
        every_step(study),
        runs=runs,
        speed=study.budget.speed,
        write=lambda: write_results(found_in(study, commands), out),
        minutes=arguments.minutes,
        only=arguments.only,
    )


if __name__ == "__main__":
    run_command(main, "studies.alignment", settings=Arguments)
