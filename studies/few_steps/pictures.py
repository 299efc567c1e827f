"""The sheet of prompts by steps, and the plot of distances against steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from studies.few_steps.steps import MODELS, Model, Study, chosen_scale, sampler
from studies.pairs.pictures import newer, save_webp
from textok.config import DataConfig, TrainGeneratorConfig
from textok.config.generator import SamplingOptions
from textok.config.read import load_config
from textok.data import open_captioned_images
from textok.evaluate.reconstruction import evenly
from textok.pipeline import TextToImage
from textok.runtime.files import atomic_write
from textok.runtime.sheet import picture_sheet

ROWS, CELL = 6, 64
COLOURS = {"flow": "#888888", "meanflow": "#d1495b", "meanflow-from-flow": "#00798c"}
LABELS = {
    "flow": "flow",
    "meanflow": "MeanFlow",
    "meanflow-from-flow": "MeanFlow started from flow",
}


def write_sheet(study: Study, out: Path) -> None:
    """``out/sheet.webp``: two rows a prompt, flow above MeanFlow; each number of steps a column.

    Written once both have their guidance; one that is newer than both stays. All images have the
    same seed.
    """
    models: tuple[Model, ...] = ("flow", "meanflow")
    if any(chosen_scale(model, study) is None for model in models):
        return
    if newer(out / "sheet.webp", [study.run(model) / "report.md" for model in models]):
        return
    pipelines = {model: _pipeline(study, model) for model in models}
    asked = prompts(study, pipelines["flow"])
    columns: dict[str, list[Image.Image]] = {}
    for steps in study.budget.steps:
        drawn = [_draw(pipelines[model], study, model, asked, steps) for model in models]
        heading = f"{steps} step{'s' if steps > 1 else ''}"
        columns[heading] = [image for pair in zip(*drawn, strict=True) for image in pair]
    captions = [f"{LABELS[model]}: {prompt}" for prompt in asked for model in models]
    save_webp(picture_sheet(columns, captions, cell=CELL), out / "sheet.webp")


def prompts(study: Study, pipeline: TextToImage) -> list[str]:
    """Those of the preset; without any captions of test images, or some of the classes."""
    config = load_config(TrainGeneratorConfig, [study.run("flow") / "config.yaml"])
    if pipeline.classes:
        places = [place * len(pipeline.classes) // ROWS for place in range(ROWS)]
        return [pipeline.classes[place] for place in dict.fromkeys(places)]
    if config.prompts:
        return list(config.prompts[:ROWS])
    data = DataConfig(path=str(study.judged), split="test", workers=0)
    images = evenly(open_captioned_images(data, image_size=64), ROWS)
    return [next(iter(record.captions), "") for record in images.records]


def _pipeline(study: Study, model: Model) -> TextToImage:
    return TextToImage.from_pretrained(study.run(model) / "model")


def _draw(
    pipeline: TextToImage, study: Study, model: Model, asked: Sequence[str], steps: int
) -> list[Image.Image]:
    """One image a prompt or class, guided as on the test images."""
    options = SamplingOptions(
        sampler=sampler(model), steps=steps, guidance=chosen_scale(model, study)
    )
    sampling = options.applied_to(pipeline.sampling)
    draw = pipeline.of_class if pipeline.classes else pipeline
    return draw(list(asked), seed=0, sampling=sampling)


def write_plot(found: Mapping[str, Any], out: Path) -> None:
    """``out/steps.png``: a panel for each feature network, once anything is measured."""
    networks = found["by_network"]
    if not networks:
        return
    figure = Figure(figsize=(5.5 * len(networks), 3.8), layout="constrained")
    panels = figure.subplots(1, len(networks), squeeze=False)[0]
    for (metric, distances), axes in zip(networks.items(), panels, strict=True):
        for model in MODELS:
            line = sorted((int(steps), value) for steps, value in distances[model].items())
            if line:
                steps, values = zip(*line, strict=True)
                axes.plot(steps, values, "o-", color=COLOURS[model], label=LABELS[model])
        if distances["best_flow"]:
            axes.axhline(distances["best_flow"], color=COLOURS["flow"], linewidth=0.8)
        ticks = sorted({int(steps) for model in MODELS for steps in distances[model]})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set(xlabel="sampling steps", ylabel=f"{metric} (lower is better)")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    with atomic_write(out / "steps.png") as temporary:
        figure.savefig(temporary, format="png", dpi=110)
