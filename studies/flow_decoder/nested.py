"""A nested tokenizer that samples: test pictures from none of their tokens to all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from studies.pairs.commands import judged_by, tokenizer_steps
from studies.pairs.pictures import newer
from studies.pairs.study import SPLIT, Study
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
ROWS, CELL = 6, 128


def nested_member(flow: Study) -> Member:
    """As many tokens as the study has at most, with the caption, the first seed."""
    return Member(tokens=max(flow.budget.tokens), text="both", seed=flow.budget.seeds[0])


def nested_run(flow: Study) -> Path:
    """Its folder, ``flow`` being the study of the decoder that samples."""
    return flow.runs.parent / FOLDER / nested_member(flow).name


def budgets_of(flow: Study) -> list[int]:
    """Numbers of tokens that it is decoded from."""
    return [count for count in BUDGETS if count <= nested_member(flow).tokens]


def nested_steps(flow: Study) -> list[Step]:
    """Train it as the study's other tokenizers, then measure it at each number of tokens."""
    budget, run = flow.budget, nested_run(flow)
    flags = (*budget.flags, "--tokenizer.nested", "true")
    study = replace(flow, runs=run.parent, budget=replace(budget, flags=flags))
    train, _ = tokenizer_steps(nested_member(flow), study)
    counts = budgets_of(flow)
    measure = words("evaluate", "reconstruction", run / "model", flow.data, "--split", SPLIT)
    place = words("--out", run / SPLIT, "--text-cache", flow.shared / "text-cache")
    kinds = words("--caption-modes", *budget.captions, "--num-tokens", *counts)
    pictures = len(counts) * len(budget.captions) * budget.limit
    return [
        train,
        Step(
            command=(*measure, *place, *judged_by(budget), *kinds),
            done=run / SPLIT / "report.json",
            seconds=pictures / budget.speed.measuring,
        ),
    ]


def nested_entry(flow: Study) -> dict[str, Any] | None:
    """By kind of caption and number of tokens: distances and metrics; None before that."""
    path = nested_run(flow) / SPLIT / "report.json"
    if not path.exists():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for row in report["rows"]:
        frechet = {report["metric"]: row["frechet"], **row.get("other_frechet", {})}
        means = {name: value["mean"] for name, value in row["metrics"].items()}
        found.setdefault(row["source"], {})[str(row["tokens"])] = {"frechet": frechet, **means}
    return found


def write_nested_sheet(flow: Study, out: Path, *, rows: int = ROWS) -> None:
    """``out/nested.png``, once it is trained; one that is newer stays.

    A row for each picture with its caption, from no token to all, and one without.
    """
    run = nested_run(flow)
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
