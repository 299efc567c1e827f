"""What a product's name is worth to a tokenizer, and pictures of products from text.

Tokenizers with the name against tokenizers without, a DiT by text on the tokens of one with it, and
its pictures for combinations of colour and kind that were never sold.

    python -m studies.products --data data/products-64 --runs runs/products
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
from studies.pairs.study import Budget, Study
from studies.photographs import budgets as photographs
from studies.products.unseen import Combination, unseen_combinations
from studies.steps import budget_name

PROMPTS = (
    "red women handbag",
    "men black casual shoes",
    "white tshirt",
    "women golden watch",
    "blue jeans",
    "green backpack",
)
UNSEEN = 6
"""Prompts of combinations that no training name has."""
TITLE = "What a name is worth on pictures of products"
ABOUT = """The same tokenizer of catalogue pictures (64 px, C = 8) with the product's name in both
sides and without, equal in all else, measured on products that were held out. Then a DiT by text on
the tokens of the one with names: its pictures of held-out names, and of prompts, the last of which
combine a colour and a kind that no training name combines."""

CPU = Budget(
    tokens=(4, 2, 1),
    seeds=(0, 1),
    steps=1_200,
    batch=64,
    limit=1_000,
    generators_at=4,
    generator_texts=("both",),
    generator_steps=1_200,
    evaluation_flags=photographs.CPU.evaluation_flags,
    speed=replace(photographs.CPU.speed, drawing=10),
)
BUDGETS = {
    "cpu": CPU,
    "gpu": replace(
        CPU,
        steps=6_000,
        batch=256,
        flags=photographs.WIDE,
        generator_steps=6_000,
        evaluation_flags=photographs.GPU.evaluation_flags,
        speed=photographs.GPU.speed,
    ),
    "toy": replace(photographs.TOY, places_at=0, generator_texts=("both",)),
}


def study_of(
    budget: Budget, data: Path, runs: Path, *, unseen: Sequence[Combination] = (), rows: int = 0
) -> Study:
    """The study on ``data``; what is drawn is also compared with the training pictures."""
    return Study(
        budget=budget,
        data=data,
        runs=runs,
        rows=rows,
        compared=rows,  # products have one name each
        tokenizer="products-study-64",
        generators=(("text", "dit-photographs-64"),),
        prompts=(*PROMPTS, *(one.prompt for one in unseen)),
    )


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyArguments):
    """Train, measure and compare what is not done yet; the same command goes on."""

    data: Path = Path("data/products-64")
    """Images with a name each, in train, val and test, as `textok data prepare` makes them."""
    runs: Path = Path("runs/products")
    out: Path = Path("docs/results/products")


def main(arguments: Arguments) -> None:
    """Run the study that ``arguments`` describe."""
    data, runs, out = arguments.data, arguments.runs, arguments.out
    require_splits(data, how="textok data prepare SOURCE OUT --size 64 --fit pad")
    name, flag = budget_name(arguments.budget, BUDGETS, toy=arguments.toy)
    try:
        captions = training_captions(data)
    except ValueError as error:
        refuse(str(error))
    names = [several[0] for several in captions if several]
    unseen = unseen_combinations(names, count=UNSEEN, least=1 if arguments.toy else 100)
    study = study_of(BUDGETS[name], data, runs, unseen=unseen, rows=count_rows(captions))
    job = Job(
        study=study,
        steps=every_step(study),
        commands=(f"python -m studies.products {flag}",),
        out=out,
        title=TITLE,
        about=ABOUT,
        sheet_at=min(study.budget.tokens),  # where a name shows most
        notes={"prompts_never_sold": [asdict(one) for one in unseen]},
    )
    run_job(job, minutes=arguments.minutes, only=arguments.only)


if __name__ == "__main__":
    run_command(main, "studies.products", settings=Arguments)
