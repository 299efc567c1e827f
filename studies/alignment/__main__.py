"""What alignment with the features of a frozen network is worth: to a tokenizer, to a generator.

Tokenizers with VF alignment and without, then DiTs: on the plain tokenizer without REPA and with
it, and without it on the aligned tokenizer. All else is equal, the seed too. The network that is
aligned with judges nothing: distances are in VGG16, which nothing is trained against.

    python -m studies.alignment --data data/products-64 --runs runs/alignment
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from studies.alignment.page import found_in, write_results
from studies.alignment.steps import BUDGETS, Study, every_step
from studies.pairs.job import budget_name, refuse, require_splits, run_planned
from studies.subset import write_splits


def main(
    *,
    data: Path = Path("data/products-64"),
    runs: Path = Path("runs/alignment"),
    out: Path = Path("docs/results/alignment"),
    budget: Literal["", "cpu", "gpu"] = "",
    toy: bool = False,
    minutes: float = 0,
    only: str = "",
) -> None:
    """Train, measure and compare what is not done yet.

    Args:
        data: Pictures of products with a name each, in train, val and test.
        runs: Folder of the runs.
        out: Folder of the results.
        budget: cpu or gpu; without it whichever there is.
        toy: Two steps of tiny networks, to see that everything works; numbers mean nothing.
        minutes: Begin no step after this many minutes; 0 goes on to the end.
        only: Take only steps of this name, as in 'tokenizer-*' or 'generator-aligned-*'.
    """
    require_splits(data, how="textok data prepare SOURCE OUT --size 64 --fit pad")
    name, flag = budget_name(budget, toy=toy)
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
        minutes=minutes,
        only=only,
    )


if __name__ == "__main__":
    tyro.cli(main)
