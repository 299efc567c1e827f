"""How few steps, which sampler and how much guidance: one pipeline, drawn from in many ways.

Every setting draws the same captions of the validation split from the same seeds, so that the
default of a pipeline is not chosen by its test pictures.

    textok train tokenizer pictograms-64
    textok train generator dit-pictograms-64    # its preset says how its latents are made
    python -m studies.sampling --model runs/dit-pictograms-64/model --data data/pictograms-64
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from studies.command import run_command
from studies.drawing import judge_step, quality_table, reports_in, retrieval, write_comparison
from studies.steps import Step, budget_name, run_steps, words
from textok.evaluate import GenerationReport
from textok.pipeline import load_pipeline

STEPS = (4, 8, 16, 32, 64, 250)
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
SCALES_AT = 32
"""Steps at which guidance is compared."""
CALLS = (8, 16)
"""Calls of the network at which samplers are compared, for each condition."""
WHERE = "style!=openmoji"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is drawn for each setting."""

    pictures: int
    batch_size: int


BUDGETS = {
    "cpu": Budget(pictures=128, batch_size=32),  # an estimated quarter of an hour on one core
    "gpu": Budget(pictures=2_000, batch_size=250),  # not run yet
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One way of drawing."""

    sampler: str
    steps: int
    guidance: float

    @property
    def name(self) -> str:
        return f"{self.sampler}-{self.steps}-g{self.guidance:g}"

    @property
    def calls(self) -> int:
        """Of the network for one picture; guidance asks it twice."""
        calls = 2 * self.steps - 1 if self.sampler == "heun" else self.steps
        return calls if self.guidance == 1 else 2 * calls


def settings(guidance: float) -> list[Setting]:
    """Steps, guidance and samplers, each once; ``guidance`` is the pipeline's own."""
    steps = [Setting(sampler="euler", steps=count, guidance=guidance) for count in STEPS]
    scales = [Setting(sampler="euler", steps=SCALES_AT, guidance=scale) for scale in SCALES]
    samplers = [
        Setting(sampler=name, steps=calls // 2 if name == "heun" else calls, guidance=guidance)
        for calls in CALLS
        for name in ("euler", "heun", "dpmpp")
    ]
    return list(dict.fromkeys([*steps, *scales, *samplers]))


def folder_of(setting: Setting, budget: Budget, runs: Path) -> Path:
    """Where the judgement lies; one of other pictures is another."""
    return runs / f"{budget.pictures}-pictures" / setting.name


def step_of(setting: Setting, model: str, budget: Budget, data: Path, runs: Path) -> Step:
    """Draw and judge."""
    flags = words(
        *("--sampler", setting.sampler, "--steps", setting.steps),
        *("--guidance", f"{setting.guidance:g}"),
        *("--num-images", budget.pictures, "--batch-size", budget.batch_size),
    )
    out = folder_of(setting, budget, runs)
    return judge_step(model, data, out, split="val", caches=runs, where=WHERE, flags=flags)


Found = Mapping[Setting, GenerationReport]


def write_tables(found: Found, guidance: float, command: str, out: Path) -> Setting:
    """Write ``comparison.md``, ``steps.png``, ``guidance.png``; the setting of lowest distance."""
    rows = [
        (
            [setting.sampler, str(setting.steps), f"{setting.guidance:g}", str(setting.calls)],
            [report],
        )
        for setting, report in found.items()
    ]
    table = quality_table(["sampler", "steps", "guidance", "network calls"], rows)
    write_comparison(out, command, list(found.values()), table)
    metric = next(iter(found.values())).metric
    own = {key: report for key, report in found.items() if key.guidance == guidance}
    draw_steps(own, metric, out / "steps.png")
    at = [key for key in found if key.sampler == "euler" and key.steps == SCALES_AT]
    ordered = sorted(at, key=lambda setting: setting.guidance)
    draw_guidance({key: found[key] for key in ordered}, metric, out / "guidance.png")
    return min(found, key=lambda setting: found[setting].scores.frechet)


def draw_steps(found: Found, metric: str, target: Path) -> None:
    """Distance and retrieval over the calls of the network, a line for each sampler."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for sampler in dict.fromkeys(setting.sampler for setting in found):
        own = sorted((key for key in found if key.sampler == sampler), key=lambda key: key.calls)
        calls = [setting.calls for setting in own]
        scores = [found[setting].scores for setting in own]
        left.plot(calls, [one.frechet for one in scores], marker="o", label=sampler)
        right.plot(calls, _numbers([retrieval(one) for one in scores]), marker="o", label=sampler)
    left.set_ylabel(f"{metric} (lower is better)")
    right.set_ylabel("text alignment, retrieval@1")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xlabel("network calls a picture")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(target, dpi=110)


def draw_guidance(found: Found, metric: str, target: Path) -> None:
    """Distance, precision and recall, and retrieval over the scale of guidance."""
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    scales = [setting.guidance for setting in found]
    scores = [report.scores for report in found.values()]
    left.plot(scales, [one.frechet for one in scores], marker="o")
    left.set_ylabel(f"{metric} (lower is better)")
    middle.plot(scales, [one.manifold.precision for one in scores], marker="o", label="precision")
    middle.plot(scales, [one.manifold.recall for one in scores], marker="o", label="recall")
    middle.legend(frameon=False)
    right.plot(scales, _numbers([retrieval(one) for one in scores]), marker="o")
    right.set_ylabel("text alignment, retrieval@1")
    for axes in (left, middle, right):
        axes.set_xlabel(f"guidance, {SCALES_AT} steps of Euler")
        axes.grid(alpha=0.3)
    figure.savefig(target, dpi=110)


def _numbers(values: Sequence[float | None]) -> list[float]:
    """NaN, which is not drawn, for what was not measured."""
    return [float("nan") if value is None else value for value in values]


def main(
    *,
    model: str = "runs/dit-pictograms-64/model",
    data: Path = Path("data/pictograms-64"),
    runs: Path = Path("runs/sampling"),
    out: Path = Path("docs/results/sampling"),
    budget: str = "",
    minutes: float = 0,
) -> None:
    """Draw and judge what is not done yet; tables, plots and the best setting of what is.

    Args:
        model: A pipeline of pictograms trained by flow, such as that of the preset
            dit-pictograms-64: a folder or a hub name.
        data: The pictograms at 64 px.
        runs: Folder of the judgements, one for each model.
        out: Folder of the table and the plots.
        budget: cpu or gpu; without it whichever there is.
        minutes: Begin no step after this many minutes; 0 goes on to the end.
    """
    name, _ = budget_name(budget, BUDGETS, toy=False)
    chosen = BUDGETS[name]
    guidance = load_pipeline(model).sampling.guidance.scale
    every = settings(guidance)
    steps = [step_of(setting, model, chosen, data, runs) for setting in every]
    if not run_steps(steps, minutes=minutes):
        print("not complete: the table holds what is done; run the same command to go on")
    found = reports_in({setting: folder_of(setting, chosen, runs) for setting in every})
    command = f"python -m studies.sampling --model {model} --budget {name}"
    if found:
        best = write_tables(found, guidance, command, out)
        lowest = f"{found[best].metric}: {found[best].scores.frechet:.2f}"
        print(f"lowest {lowest}, {best.name} ({best.calls} network calls)")


if __name__ == "__main__":
    run_command(main, "studies.sampling")
