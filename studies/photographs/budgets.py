"""How much is trained on photographs, and on what kind of machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from studies.pairs.study import Budget, Speed, Study
from studies.subset import write_splits

PROMPTS = (
    "a photo of a goldfish, large, in the center",
    "a photo of a golden retriever, large, in the center",
    "a photo of a school bus, large, in the center",
    "a photo of a monarch, large, in the center",
    "a photo of a lakeside",
    "a photo of a banana, large, in the center",
    "a photo of a teapot, large, in the center",
    "a photo of a king penguin, large, in the center",
)
JUDGED = "judged"
JUDGED_TRAINING = 2_000
"""Training pictures beside those that generators are judged by."""

CPU = Budget(
    tokens=(4, 2),
    seeds=(0, 1),
    places_at=4,
    steps=1_500,
    batch=64,
    limit=1_000,
    generators_at=4,
    generator_steps=600,
    evaluation_flags=("--workers", "0"),
    speed=Speed(training=65, measuring=25, encoding=500, rows=250, drawing=15),
)
WIDE = tuple(
    (
        "--tokenizer.encoder.width 384 --tokenizer.encoder.depth 6 --tokenizer.encoder.heads 6 "
        "--tokenizer.decoder.width 384 --tokenizer.decoder.depth 6 --tokenizer.decoder.heads 6 "
        "--optim.lr 5e-4 --data.cache device"
    ).split()
)
ADVERSARIAL = tuple(
    (
        "--loss.gan.weight 0.1 --loss.gan.adaptive true --loss.gan.discriminator patchgan "
        "--loss.gan.base 256 --loss.gan.lecam 0 --loss.gan.r1 1 --loss.gan.r1_every 16 "
        "--loss.gan.lr 2e-4 --loss.gan.betas 0 0.99"
    ).split()
)
GPU = replace(
    CPU,
    tokens=(2, 4, 8, 16),
    steps=8_000,
    batch=256,
    flags=(*WIDE, *ADVERSARIAL, "--loss.gan.start", "4000"),
    limit=10_000,
    generator_steps=10_000,
    generator_seeds=(0, 1),
    evaluation_flags=("--batch-size", "256", "--workers", "4"),
    speed=Speed(training=3_000, measuring=1_000, encoding=8_000, rows=8_000, drawing=500),
)
PIECES = replace(
    CPU,
    tokens=(4, 2),
    seeds=(0,),
    places_at=0,
    steps=1_600,
    batch=256,
    flags=(
        *tuple(
            "--tokenizer.encoder.width 256 --tokenizer.encoder.depth 6 --tokenizer.encoder.heads 4 "
            "--tokenizer.decoder.width 256 --tokenizer.decoder.depth 6 --tokenizer.decoder.heads 4 "
            "--data.cache device".split()
        ),
        *ADVERSARIAL,
        *("--loss.gan.start", "800"),
    ),
    networks=("efficientnet_lite0",),
    evaluation_flags=("--batch-size", "256", "--workers", "4"),
    speed=replace(GPU.speed, training=5_000),
)
"""Tokenizers on a machine without network, given files in pieces: few enough numbers that the
weights of the first pair come back."""
TOY = Budget(
    tokens=(2, 1),
    seeds=(0,),
    places_at=2,
    steps=2,
    batch=4,
    flags=tuple(
        "--tokenizer.encoder.width 32 --tokenizer.encoder.depth 1 --tokenizer.encoder.heads 1 "
        "--tokenizer.decoder.width 32 --tokenizer.decoder.depth 1 --tokenizer.decoder.heads 1 "
        "--run.log-every 1 --run.precision fp32".split()
    ),
    limit=10,
    generators_at=2,
    generator_steps=2,
    generator_batch=4,
    generator_flags=tuple(
        "--generator.network.width 32 --generator.network.depth 1 --generator.network.heads 1 "
        "--sampling.steps 2 --run.log-every 1 --run.precision fp32".split()
    ),
    evaluation_flags=("--workers", "0"),
    speed=Speed(training=50, measuring=10, encoding=100, rows=100, drawing=10),
)
BUDGETS = {"cpu": CPU, "gpu": GPU, "pieces": PIECES, "toy": TOY}


def study_of(budget: Budget, data: Path, runs: Path, *, rows: int = 0) -> Study:
    """The study on ``data``, as `textok data tiny-imagenet` makes it.

    Drawn pictures are judged beside some of the training pictures, see ``prepare_judged``: features
    of all of them would take longer than all else.
    """
    return Study(
        budget=budget,
        data=data,
        runs=runs,
        rows=rows,
        tokenizer="photographs-64",
        generators=(("class", "dit-photographs-64-class"), ("text", "dit-photographs-64")),
        judged=runs / JUDGED,
        compared=min(JUDGED_TRAINING, rows),
        prompts=PROMPTS,
    )


def prepare_judged(study: Study) -> None:
    """The measured test pictures and JUDGED_TRAINING training pictures, as a set of their own.

    Both evenly spaced over their splits. Raises ValueError for unreadable data.
    """
    counts = {"train": JUDGED_TRAINING, "test": study.budget.limit}
    write_splits(study.data, study.runs / JUDGED, counts)
