"""What a decoder that samples is worth on photographs, and what the caption is worth to it.

Regression with a discriminator against flow matching at equal parameters, tokens and images seen;
each with the caption and without, and a DiT of classes on the latents of each. At last a nested
pair of each, measured at all numbers of its tokens; that part alone: `--only nested`.

    python -m studies.flow_decoder --data data/tiny-imagenet --runs runs/flow-decoder
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from studies.command import refuse, run_command
from studies.flow_decoder.budgets import SCALES, Decoder, studies_of
from studies.flow_decoder.nested import nested_steps, write_nested_sheet
from studies.flow_decoder.page import write_page, write_sheet
from studies.flow_decoder.summary import summary
from studies.pairs.arguments import StudyArguments
from studies.pairs.commands import generator_steps, tokenizer_steps
from studies.pairs.job import (
    count_rows,
    require_splits,
    run_planned,
    training_captions,
)
from studies.pairs.study import Study, generators, pairs
from studies.pairs.summary import write_summary
from studies.photographs.budgets import prepare_judged
from studies.steps import Step, budget_name

TITLE = "A decoder that samples against one that regresses"
ABOUT = """Tokenizers of real photographs (Tiny ImageNet, 64 px, C = 8) whose decoder predicts
pixels, trained with a discriminator, or samples them by flow matching, without one. Parameters
within 5 %, images seen equal; each with the caption in both sides and without. FD-EffLite0 is no
FID (docs/evaluation.md)."""


def every_step(studies: Mapping[Decoder, Study], nested: int) -> list[Step]:
    """Both decoders side by side: at each K without the caption and with it, then generators.

    The nested tokenizers, of ``nested`` tokens, come last.
    """
    first = next(iter(studies.values()))
    steps: list[Step] = []
    for seed in first.budget.seeds:
        for member in pairs(first.budget, seed):
            for study in studies.values():
                steps += tokenizer_steps(member, study)
        for study in studies.values():
            for kind, _ in study.generators:
                for generator in generators(study, kind, seed=seed):
                    steps += generator_steps(generator, study)
    return [*steps, *nested_steps(studies, nested)]


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyArguments):
    """Train, measure and compare what is not done yet; the same command goes on."""

    data: Path = Path("data/tiny-imagenet")
    """What `textok data tiny-imagenet` made."""
    runs: Path = Path("runs/flow-decoder")
    out: Path = Path("docs/results/flow-decoder")


def main(arguments: Arguments) -> None:
    """Run the study that ``arguments`` describe."""
    data, runs, out = arguments.data, arguments.runs, arguments.out
    require_splits(data, how="textok data tiny-imagenet SOURCE OUT")
    name, flag = budget_name(arguments.budget, SCALES, toy=arguments.toy)
    try:
        rows = count_rows(training_captions(data))
        studies = studies_of(SCALES[name], data, runs, rows=rows)
        prepare_judged(replace(studies["flow"], runs=runs))
    except ValueError as error:
        refuse(str(error))

    nested = SCALES[name].nested

    def write() -> None:
        out.mkdir(parents=True, exist_ok=True)
        found = summary(studies, nested, runs, [f"python -m studies.flow_decoder {flag}"])
        write_summary(found, out)
        write_nested_sheet(studies["flow"], nested, out)
        write_sheet(studies, studies["flow"].budget.generators_at, out)
        write_page(found, out, title=TITLE, about=ABOUT)

    run_planned(
        every_step(studies, nested),
        runs=runs,
        speed=studies["flow"].budget.speed,
        write=write,
        minutes=arguments.minutes,
        only=arguments.only,
    )


if __name__ == "__main__":
    run_command(main, "studies.flow_decoder", settings=Arguments)
