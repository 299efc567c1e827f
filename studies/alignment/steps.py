"""Two tokenizers and three generators that differ in what is aligned alone, and their commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from studies.drawing import extract_step, judge_step, train_step
from studies.pairs.study import Speed
from studies.photographs import budgets as photographs
from studies.steps import Step, words

TARGET, JUDGES = "efficientnet_lite0", ("vgg16", "efficientnet_lite0")
"""The network that is aligned with, and those that distances are in; the first counts."""
TOKENIZER, GENERATOR = "products-study-64", "dit-products-64"
TOKENS = 4
KINDS = ("plain", "aligned")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One generator: on which tokenizer, and whether it is aligned itself."""

    tokenizer: str
    generator: str

    @property
    def name(self) -> str:
        return f"{self.generator}-on-{self.tokenizer}"


GENERATORS = (
    Drawn(tokenizer="plain", generator="plain"),
    Drawn(tokenizer="plain", generator="aligned"),
    Drawn(tokenizer="aligned", generator="plain"),
)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is trained, and how much is measured."""

    steps: int = 600
    batch: int = 64
    generator_steps: int = 600
    generator_batch: int = 256
    limit: int = 1_000
    """Test pictures measured, and drawn."""
    training: int = 2_000
    """Training pictures that drawn ones are compared with."""
    tokenizer_flags: tuple[str, ...] = ()
    generator_flags: tuple[str, ...] = ()
    seed: int = 0
    tokenizer_weight: float = 0.1
    """VA-VAE's, times the adaptive one."""
    generator_weight: float = 0.5
    """REPA's."""
    speed: Speed


CPU = Budget(speed=Speed(training=45, measuring=8, encoding=50, rows=250, drawing=6))
BUDGETS = {
    "cpu": CPU,
    "gpu": replace(
        CPU,
        steps=6_000,
        batch=256,
        generator_steps=6_000,
        speed=Speed(training=2_000, measuring=500, encoding=4_000, rows=8_000, drawing=300),
    ),
    "toy": replace(
        CPU,
        steps=2,
        batch=4,
        generator_steps=2,
        generator_batch=4,
        limit=10,
        training=8,
        tokenizer_flags=photographs.TOY.flags,
        generator_flags=photographs.TOY.generator_flags,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Study:
    """A budget, the data and the folder of the runs."""

    budget: Budget
    data: Path
    runs: Path

    @property
    def judged(self) -> Path:
        """The test pictures, and the training pictures that drawn ones are compared with."""
        return self.runs / "judged"

    def tokenizer(self, kind: str) -> Path:
        return self.runs / f"tokenizer-{kind}"

    def generator(self, drawn: Drawn) -> Path:
        return self.runs / f"generator-{drawn.name}"


def every_step(study: Study) -> list[Step]:
    """Both tokenizers first, then the generators, so that an unfinished study already compares."""
    steps = [step for kind in KINDS for step in tokenizer_steps(kind, study)]
    steps += [step for drawn in GENERATORS for step in generator_steps(drawn, study)]
    return list({step.done: step for step in steps}.values())


def tokenizer_steps(kind: str, study: Study) -> Iterator[Step]:
    """Train one of the two, then measure it with its captions."""
    budget, run, text = study.budget, study.tokenizer(kind), study.runs / "text-cache"
    weight = ("--loss.alignment.weight", budget.tokenizer_weight, "--loss.alignment.adaptive")
    yield Step(
        command=words(
            *("train", "tokenizer", TOKENIZER, *budget.tokenizer_flags),
            *("--tokenizer.num-tokens", TOKENS, "--run.seed", budget.seed),
            *("--run.steps", budget.steps, "--run.batch-size", budget.batch, "--run.out", run),
            *("--data.path", study.data, "--text.cache", text),
            *((*weight, "--loss.alignment.network", TARGET) if kind == "aligned" else ()),
        ),
        done=run / "report.md",
        seconds=budget.steps * budget.batch / budget.speed.training,
    )
    yield Step(
        command=words(
            *("evaluate", "reconstruction", run / "model", study.judged, "--split", "test"),
            *("--out", run / "test", "--caption-modes", "true", "--text-cache", text),
            *judged_by(),
        ),
        done=run / "test" / "report.json",
        seconds=budget.limit / budget.speed.measuring,
    )


def generator_steps(drawn: Drawn, study: Study) -> Iterator[Step]:
    """Latents of its tokenizer, unless they are there; the DiT; its pictures of the test names."""
    budget, run = study.budget, study.generator(drawn)
    latents = study.runs / f"latents-{drawn.tokenizer}"
    wanted = any(one.generator == "aligned" for one in _on(drawn.tokenizer))
    extract = extract_step(
        study.tokenizer(drawn.tokenizer) / "model",
        study.data,
        latents,
        caches=study.runs,
        flags=("--precision", "bf16", *(("--features", TARGET) if wanted else ())),
    )
    weight = ("--generator.alignment.weight", budget.generator_weight)
    flags = words(
        *(*budget.generator_flags, "--run.seed", budget.seed),
        *("--run.steps", budget.generator_steps, "--run.batch-size", budget.generator_batch),
        *(weight if drawn.generator == "aligned" else ()),
    )
    train = train_step(GENERATOR, latents, run, caches=study.runs, flags=flags)
    judge = judge_step(
        run / "model",
        study.judged,
        run / "test",
        split="test",
        caches=study.runs,
        judges=judged_by(),
        flags=words("--num-images", budget.limit),
    )
    rows = budget.generator_steps * budget.generator_batch
    seconds = (40_000 / budget.speed.encoding, rows / budget.speed.rows)
    yield replace(extract, seconds=seconds[0])
    yield replace(train, seconds=seconds[1])
    yield replace(judge, seconds=(budget.limit + budget.training) / budget.speed.drawing)


def judged_by() -> tuple[str, ...]:
    """What every measurement has in common."""
    return words("--feature-networks", *JUDGES, "--workers", 0)


def _on(tokenizer: str) -> list[Drawn]:
    return [one for one in GENERATORS if one.tokenizer == tokenizer]
