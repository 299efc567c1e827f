"""One flow and two MeanFlow generators on the same latents, and the commands that compare them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from studies.command import refuse
from studies.drawing import extract_step, judge_step, reports_in, train_step
from studies.few_steps.budgets import Budget
from studies.pairs.study import SPLIT
from studies.steps import Step, words
from textok.config import TrainGeneratorConfig
from textok.config.generator import Sampler
from textok.config.presets import preset_path
from textok.config.read import load_config

Model = Literal["flow", "meanflow", "meanflow-from-flow"]
MODELS: tuple[Model, ...] = ("flow", "meanflow", "meanflow-from-flow")
NETWORKS = ("efficientnet_lite0", "vgg16")
"""Whose features the Frechet distances are in; the first is the one that counts."""
FLOW_SAMPLER: Sampler = "dpmpp"
"""Second order, so that flow is compared at its best in few steps."""
OVERLAY = "meanflow"
"""Preset that is merged into the flow's."""
MEANFLOW_COST = 2.0
"""Time of a training row over flow's, assumed for the plan."""
STARTING = 5.0
"""Seconds until an evaluation begins, assumed for the plan."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A budget, what is trained on, and the folder of the runs."""

    budget: Budget
    data: Path
    tokenizer: str
    """The bundled 'products', a folder or a hub name."""
    generator: str
    """Preset of the flow; it decides between text and classes."""
    runs: Path
    num_tokens: int = 0
    """First tokens of a nested tokenizer that are generated; 0: all."""
    rows: int = 0
    """Captions of the training images, for the plan."""

    @property
    def judged(self) -> Path:
        """The images that are measured on, and the training images beside them."""
        return self.runs / "judged"

    @property
    def latents(self) -> Path:
        return self.runs / "latents"

    def run(self, model: Model) -> Path:
        return self.runs / model

    def tried(self, model: Model, scale: float) -> Path:
        """Folder of the validation images with one guidance scale."""
        return self.run(model) / f"val-guidance-{scale:g}"

    def measured(self, model: Model, steps: int) -> Path:
        """Folder of the test images in so many steps."""
        return self.run(model) / f"{SPLIT}-{steps}"


def sampler(model: Model) -> Sampler:
    """What a model is sampled with."""
    return FLOW_SAMPLER if model == "flow" else "meanflow"


def tried_at(model: Model, budget: Budget) -> int:
    """Sampling steps at which guidance is chosen: many for flow, one for MeanFlow."""
    return max(budget.steps) if model == "flow" else 1


def rows_seen(model: Model, budget: Budget) -> int:
    """Rows of the model's own training; that from flow goes on from all of flow's."""
    return training_steps(model, budget) * budget.batch


def training_steps(model: Model, budget: Budget) -> int:
    """Of the model's own training."""
    half = model == "meanflow-from-flow"
    return max(1, budget.training_steps // 2) if half else budget.training_steps


def every_step(study: Study) -> list[Step]:
    """Latents; then each model is trained, its guidance chosen, and it is measured."""
    steps = [latents_step(study)]
    for model in MODELS:
        steps += model_steps(model, study)
    # The first judgement also takes the features of the training images.
    first = next(i for i, one in enumerate(steps) if one.command[1] == "generation")
    more = study.budget.compared / study.budget.speed.drawing
    steps[first] = replace(steps[first], seconds=steps[first].seconds + more)
    return steps


def latents_step(study: Study) -> Step:
    """The latents that all three are trained on."""
    step = extract_step(
        study.tokenizer,
        study.data,
        study.latents,
        caches=study.runs,
        captions_per_image=study.budget.captions_per_image,
    )
    return replace(step, seconds=study.rows / study.budget.speed.encoding)


def model_steps(model: Model, study: Study) -> Iterator[Step]:
    """Train one model, try each guidance scale, and measure it in each number of steps."""
    yield training_step(model, study)
    for scale in study.budget.scales:
        yield _judged(
            model,
            study,
            split="val",
            steps=tried_at(model, study.budget),
            out=study.tried(model, scale),
            flags=words("--guidance", f"{scale:g}"),
        )
    for steps in study.budget.steps:
        step = _judged(
            model, study, split=SPLIT, steps=steps, out=study.measured(model, steps), flags=()
        )
        yield replace(step, late=partial(chosen_flags, model, study))


def training_step(model: Model, study: Study) -> Step:
    """The flow by its preset; MeanFlow by the same with its overlay, from scratch or from flow."""
    budget = study.budget
    overlay = () if model == "flow" else (OVERLAY,)
    init: tuple[object, ...] = ()
    if model == "meanflow-from-flow":
        # The flow's embedding of time is kept; from scratch the overlay has its own.
        flow = load_config(TrainGeneratorConfig, [preset_path(study.generator)]).generator
        init = ("--init", study.run("flow") / "model")
        init += ("--generator.time-frequency", flow.time_frequency)
    first = ("--latents.num-tokens", study.num_tokens) if study.num_tokens else ()
    flags = words(
        *(*overlay, *budget.generator_flags, *first, *init, "--run.seed", budget.seed),
        *("--run.steps", training_steps(model, budget), "--run.batch-size", budget.batch),
        *("--sampling.sampler", sampler(model)),
    )
    step = train_step(
        study.generator, study.latents, study.run(model), caches=study.runs, flags=flags
    )
    cost = 1 if model == "flow" else MEANFLOW_COST
    return replace(step, seconds=cost * rows_seen(model, budget) / budget.speed.rows)


def _judged(
    model: Model, study: Study, *, split: str, steps: int, out: Path, flags: tuple[str, ...]
) -> Step:
    """Generate for the captions or classes of a split and compare with its images."""
    budget, speed = study.budget, study.budget.speed
    tested = split == SPLIT
    count = budget.limit if tested else budget.tried
    networks = NETWORKS if tested else NETWORKS[:1]
    step = judge_step(
        study.run(model) / "model",
        study.judged,
        out,
        split=split,
        caches=study.runs,
        judges=words("--feature-networks", *networks, *budget.evaluation_flags),
        flags=words(
            *("--sampler", sampler(model), "--steps", steps, "--num-images", count), *flags
        ),
    )
    # A forward pass is a third of a training step; guidance of a flow doubles it.
    passes = (2 if model == "flow" else 1) * steps / 3
    seconds = STARTING + count * (1 / speed.drawing + passes / speed.rows)
    return replace(step, seconds=seconds)


def chosen_flags(model: Model, study: Study) -> tuple[str, ...]:
    """The guidance flag of the test images. Ends with one line before all scales are tried."""
    scale = chosen_scale(model, study)
    if scale is None:
        refuse(
            f"the guidance scale of {model} is not chosen yet: run the study without --only first"
        )
    return ("--guidance", f"{scale:g}")


def tried_distances(model: Model, study: Study) -> dict[float, float]:
    """The validation distance of each scale that was tried, in the first network."""
    found = reports_in({scale: study.tried(model, scale) for scale in study.budget.scales})
    return {scale: report.scores.frechet for scale, report in found.items()}


def chosen_scale(model: Model, study: Study) -> float | None:
    """The scale of the lowest validation distance; None before all are tried."""
    distances = tried_distances(model, study)
    if len(distances) < len(study.budget.scales):
        return None
    return min(distances, key=lambda scale: distances[scale])
