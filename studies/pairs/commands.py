"""The commands of a study, in order."""

from __future__ import annotations

from dataclasses import replace

from studies.drawing import extract_step, judge_step, train_step
from studies.pairs.study import SPLIT, Budget, Generator, Study, generators, pairs, places
from studies.steps import Step, words
from studies.text_gain import Member

WAYS = 5
"""Reconstructions of each test picture: with four kinds of captions, and by PCA."""
EACH = 4
"""Pictures of each prompt."""


def tokenizer_steps(member: Member, study: Study) -> list[Step]:
    """Train one tokenizer, then measure it with every kind of caption beside PCA."""
    budget, run = study.budget, study.runs / member.name
    train = ("train", "tokenizer", study.tokenizer, *budget.flags)
    kind = ("--tokenizer.text", member.text, "--tokenizer.num-tokens", member.tokens)
    length = ("--run.steps", budget.steps, "--run.batch-size", budget.batch)
    place = ("--run.seed", member.seed, "--run.out", run, "--data.path", study.data)
    cache = ("--text.cache", study.shared / "text-cache")
    measure = ("evaluate", "reconstruction", run / "model", study.data, "--split", SPLIT)
    caches = ("--text-cache", study.shared / "text-cache", "--pca-cache", study.shared / "pca")
    told = ("--caption-modes", *budget.captions) if budget.captions else ()
    ways = 2 if member.text == "none" else len(budget.captions) + 1 if told else WAYS
    return [
        Step(
            command=words(*train, *kind, *length, *place, *cache),
            done=run / "report.md",
            seconds=budget.steps * budget.batch / budget.speed.training,
        ),
        Step(
            command=words(
                *(*measure, "--out", run / SPLIT, *judged_by(budget), "--pca", *caches), *told
            ),
            done=run / SPLIT / "report.json",
            seconds=ways * budget.limit / budget.speed.measuring,
        ),
    ]


def generator_steps(generator: Generator, study: Study) -> list[Step]:
    """Latents of the tokenizer, unless they are there; a generator; its pictures of the test split.

    And a sheet of prompts, where it draws by text.
    """
    budget, preset = study.budget, dict(study.generators)[generator.kind]
    place = study.runs / "generators" / generator.name
    latents = study.runs / "latents" / generator.tokenizer.name
    model = study.runs / generator.tokenizer.name / "model"
    extract = extract_step(
        model,
        study.data,
        latents,
        caches=study.shared,
        captions_per_image=budget.captions_per_image,
    )
    length = ("--run.steps", budget.generator_steps, "--run.batch-size", budget.generator_batch)
    seed = ("--run.seed", generator.tokenizer.seed)
    flags = words(*budget.generator_flags, *length, *seed)
    train = train_step(preset, latents, place, caches=study.shared, flags=flags)
    judge = judge_step(
        place / "model",
        study.judged or study.data,
        place / SPLIT,
        split=SPLIT,
        caches=study.shared,
        judges=judged_by(budget),
        flags=words("--num-images", budget.limit),
    )
    rows = budget.generator_steps * budget.generator_batch
    seconds = (
        study.rows / budget.speed.encoding,
        rows / budget.speed.rows,
        budget.limit / budget.speed.drawing,
    )
    steps = [
        replace(step, seconds=taken)
        for step, taken in zip((extract, train, judge), seconds, strict=True)
    ]
    if generator.kind == "text" and study.prompts:
        steps.append(prompts_step(generator, study))
    return steps


def judged_by(budget: Budget) -> tuple[str, ...]:
    """What every measurement of a study has in common."""
    return words(
        *("--limit", budget.limit, "--feature-networks", *budget.networks),
        *budget.evaluation_flags,
    )


def prompts_step(generator: Generator, study: Study) -> Step:
    """A sheet of pictures for the study's prompts."""
    place = study.runs / "generators" / generator.name
    draw = ("generate", *study.prompts, "--model", place / "model", "--num-images", EACH)
    return Step(
        command=words(*draw, "--seed", 0, "--out", place / "prompts"),
        done=place / "prompts" / "sheet.png",
        seconds=len(study.prompts) * EACH / study.budget.speed.drawing,
    )


def every_step(study: Study) -> list[Step]:
    """In the order that makes an unfinished study worth most.

    The pairs of one seed and the generators that are compared on them, then those of the next seed,
    then the text in one side alone, then the other generators.
    """
    (first, _), *others = study.generators
    steps = []
    for seed in study.budget.seeds:
        for member in pairs(study.budget, seed):
            steps += tokenizer_steps(member, study)
        for generator in generators(study, first, seed=seed):
            steps += generator_steps(generator, study)
    for member in places(study.budget):
        steps += tokenizer_steps(member, study)
    for kind, _ in others:
        for seed in study.budget.seeds:
            for generator in generators(study, kind, seed=seed):
                steps += generator_steps(generator, study)
    # Generators of two kinds share their latents.
    return _with_training_features(list({step.done: step for step in steps}.values()), study)


def _with_training_features(steps: list[Step], study: Study) -> list[Step]:
    """The same, the first judgement longer by the features that all judgements share."""
    judging = (i for i, step in enumerate(steps) if step.command[1] == "generation")
    first = next(judging, None)
    if first is not None:
        more = study.compared / study.budget.speed.measuring
        steps[first] = replace(steps[first], seconds=steps[first].seconds + more)
    return steps
