"""What the caption is worth on photographs of known classes: the paper's two comparisons.

A tokenizer with the caption against one without, and a DiT of classes on the latents of each.

    python -m studies.photographs --data data/tiny-imagenet --runs runs/photographs
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studies.command import refuse, run_command
from studies.pairs.arguments import StudyArguments
from studies.pairs.commands import every_step
from studies.pairs.job import (
    Job,
    count_rows,
    require_splits,
    run_job,
    training_captions,
)
from studies.photographs.budgets import BUDGETS, prepare_judged, study_of
from studies.steps import budget_name

TITLE = "What the caption is worth on photographs"
ABOUT = """The same tokenizer of real photographs (Tiny ImageNet, 64 px, C = 8) with the caption in
both sides and without, equal in all else: a caption names the class and tells the box, as in "a
photo of a goldfish, large, in the center". Test pictures are the published validation set's, unseen
in training. Then the same DiT of classes on the latents of both tokenizers; with text the decoder
reads a held-out caption of the class. FD-EffLite0 is no FID (docs/evaluation.md)."""


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyArguments):
    """Train, measure and compare what is not done yet; the same command goes on."""

    data: Path = Path("data/tiny-imagenet")
    """What `textok data tiny-imagenet` made."""
    runs: Path = Path("runs/photographs")
    out: Path = Path("docs/results/photographs")
    budget: str = ""
    """cpu or gpu; without it whichever there is. pieces goes on with tokenizers from
    studies.photographs.offline."""


def main(arguments: Arguments) -> None:
    """Run the study that ``arguments`` describe."""
    data, runs, out = arguments.data, arguments.runs, arguments.out
    require_splits(data, how="textok data tiny-imagenet SOURCE OUT")
    name, flag = budget_name(arguments.budget, BUDGETS, toy=arguments.toy)
    try:
        rows = count_rows(training_captions(data))
        study = study_of(BUDGETS[name], data, runs, rows=rows)
        prepare_judged(study)
    except ValueError as error:
        refuse(str(error))
    job = Job(
        study=study,
        steps=every_step(study),
        commands=(f"python -m studies.photographs {flag}",),
        out=out,
        title=TITLE,
        about=ABOUT,
        sheet_at=study.budget.generators_at,
    )
    run_job(job, minutes=arguments.minutes, only=arguments.only)


if __name__ == "__main__":
    run_command(main, "studies.photographs", settings=Arguments)
