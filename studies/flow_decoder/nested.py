"""The study's nested tokenizers that sample, with the caption and without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from studies.pairs.commands import tokenizer_steps
from studies.pairs.nested import Measurement, measuring_steps
from studies.pairs.pictures import newer
from studies.pairs.study import PAIR, SPLIT, Study
from studies.steps import Step, words
from studies.text_gain import Member
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.evaluate.budgets import budget_sheet
from textok.evaluate.captions import captions_by_key
from textok.evaluate.reconstruction import evenly
from textok.pipeline import Reconstructor, decoding_seeds
from textok.runtime.sheet import save_picture

FOLDER = "nested"
"""Of its run, beside those of the decoders: what `--only` takes."""
BUDGETS = (0, 1, 2, 4, 8, 16)
"""Tokens that are shown, as far as there are so many."""
SHARE = 2
"""Each number of tokens is a row: measured on one in so many of the images of the others."""
ROWS, CELL = 6, 128


def nested_member(flow: Study, text: str) -> Member:
    """As many tokens as the study has at most, and the first seed."""
    return Member(tokens=max(flow.budget.tokens), text=text, seed=flow.budget.seeds[0])


def nested_run(flow: Study, text: str) -> Path:
    """Its folder, ``flow`` being the study of the decoder that samples."""
    return flow.runs.parent / FOLDER / nested_member(flow, text).name


def budgets_of(flow: Study) -> list[int]:
    """Numbers of tokens that it is decoded from."""
    return [count for count in BUDGETS if count <= max(flow.budget.tokens)]


def nested_runs(flow: Study) -> dict[str, Path]:
    """The pair's folders, by the place of the text."""
    return {text: nested_run(flow, text) for text in PAIR}


def nested_steps(flow: Study) -> list[Step]:
    """Train each as the study's other tokenizers, then measure it at each number of tokens."""
    budget, runs = flow.budget, nested_runs(flow)
    flags = (*budget.flags, "--tokenizer.nested", "true")
    study = replace(flow, budget=replace(budget, flags=flags))
    limit = budget.limit // SHARE
    measurement = Measurement(
        data=flow.data,
        counts=budgets_of(flow),
        limit=limit,
        speed=budget.speed.measuring,
        flags=words(
            *("--feature-networks", *budget.networks, *budget.evaluation_flags),
            *("--text-cache", flow.shared / "text-cache"),
        ),
        captions=budget.captions,
    )
    steps: list[Step] = []
    for text, measure in measuring_steps(runs, measurement).items():
        train, _ = tokenizer_steps(
            nested_member(flow, text), replace(study, runs=runs[text].parent)
        )
        steps += [train, *measure]
    return steps


def write_nested_sheet(flow: Study, out: Path, *, rows: int = ROWS) -> None:
    """``out/nested.png``, once it is trained; one that is newer stays.

    A row for each picture with its caption, from no token to all, and one without.
    """
    run = nested_run(flow, "both")
    trained = [run / "report.md"]
    if not trained[0].exists() or newer(out / "nested.png", trained):
        return
    model = Reconstructor.from_pretrained(run / "model", text_cache=flow.shared / "text-cache")
    config = DataConfig(path=str(flow.data), split=SPLIT, workers=0)
    images = evenly(open_captioned_images(config, image_size=model.config.image_size), rows)
    keys = [record.key for record in images.records]
    captions = captions_by_key("true", images.records)
    sheet = budget_sheet(
        model,
        [Image.fromarray(images.read(place, flip=False)) for place in range(len(keys))],
        [captions[key] for key in keys],
        budgets_of(flow),
        seeds=decoding_seeds(keys),
        cell=CELL,
        title=f"one nested tokenizer of {model.config.num_tokens} tokens",
    )
    save_picture(sheet, out / "nested.png")
