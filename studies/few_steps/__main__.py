"""Images in one to four steps: MeanFlow against flow matching at equal rows seen.

A flow, a MeanFlow generator, and one started from the flow with half as many rows more, all on the
latents of one tokenizer; each is measured in 1 to 50 sampling steps, with the guidance that
validation images choose.

    python -m studies.few_steps --data data/products-64 --runs runs/few-steps

Photographs of classes, or by caption with `--generator dit-photographs-64`:

    python -m studies.few_steps --data data/tiny-imagenet --tokenizer runs/photographs-64/model \
        --generator dit-photographs-64-class --runs runs/few-steps-photographs \
        --out docs/results/few-steps/photographs
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from studies.command import refuse, run_command
from studies.few_steps.budgets import BUDGETS
from studies.few_steps.page import write_page
from studies.few_steps.pictures import write_plot, write_sheet
from studies.few_steps.steps import Study, every_step
from studies.few_steps.summary import summary
from studies.pairs.arguments import StudyArguments
from studies.pairs.job import (
    count_rows,
    require_splits,
    run_planned,
    training_captions,
)
from studies.pairs.summary import write_summary
from studies.steps import budget_name
from studies.subset import write_splits
from textok.config import TrainGeneratorConfig
from textok.config.bundled import BUNDLED
from textok.config.check import require
from textok.config.presets import preset_path
from textok.config.read import load_config


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyArguments):
    """Train, measure and compare what is not done yet; the same command goes on."""

    data: Path = Path("data/products-64")
    """Captioned images in train, val and test, at the tokenizer's size."""
    tokenizer: str = BUNDLED
    """Whose latents are generated: the bundled 'products', a folder or a hub name."""
    generator: str = "dit-products-64"
    """Preset of a flow by text or by class; MeanFlow is the same with the preset meanflow."""
    num_tokens: int = 0
    """Generate the first tokens alone of a nested tokenizer's; 0 takes all."""
    runs: Path = Path("runs/few-steps")
    out: Path = Path("docs/results/few-steps")
    speed: Path = Path("docs/results/sampling-speed/one-pass/sampling.json")
    """Report of `python -m benchmarks.sampling`, for the speed of one step at 512 px."""


def require_flow(preset: str) -> None:
    """Raise ValueError unless the preset is of a DiT that is trained by flow."""
    try:
        config = load_config(TrainGeneratorConfig, [preset_path(preset)])
    except ValueError as error:
        raise ValueError(f"--generator {preset}: {error}") from error
    name = config.generator.objective.name
    require(name == "flow", f"--generator {preset} is trained by '{name}': name a preset of flow")


def command_of(arguments: Arguments, flag: str) -> str:
    """What the page says; without the folders, which are the user's own."""
    told = [
        word
        for name in ("tokenizer", "generator", "num_tokens")
        if (value := getattr(arguments, name)) != getattr(Arguments, name)
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    return " ".join(["python -m studies.few_steps", *map(shlex.quote, told), flag])


def main(arguments: Arguments) -> None:
    """Run the study that ``arguments`` describe."""
    data, runs, out = arguments.data, arguments.runs, arguments.out
    require_splits(data, how="textok data prepare SOURCE OUT --size 64 --fit pad")
    name, flag = budget_name(arguments.budget, BUDGETS, toy=arguments.toy)
    budget = BUDGETS[name]
    try:
        require_flow(arguments.generator)
        study = Study(
            budget=budget,
            data=data,
            tokenizer=arguments.tokenizer,
            generator=arguments.generator,
            runs=runs,
            num_tokens=arguments.num_tokens,
            rows=count_rows(training_captions(data), budget.captions_per_image),
        )
        counts = {"train": budget.compared, "val": budget.tried, "test": budget.limit}
        write_splits(data, study.judged, counts)
    except ValueError as error:
        refuse(str(error))
    command = command_of(arguments, flag)

    def write() -> None:
        out.mkdir(parents=True, exist_ok=True)
        found = summary(study, [command], arguments.speed)
        write_summary(found, out)
        write_plot(found, out)
        write_sheet(study, out)
        write_page(found, out, arguments.speed)

    run_planned(
        every_step(study),
        runs=runs,
        speed=budget.speed,
        write=write,
        minutes=arguments.minutes,
        only=arguments.only,
    )


if __name__ == "__main__":
    run_command(main, "studies.few_steps", settings=Arguments)
