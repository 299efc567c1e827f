"""Nested tokenizers that sample, with the caption and without: from none of their tokens to all.

One pair of trainings tells what the caption is worth at every number of tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from studies.pairs.commands import judged_by, tokenizer_steps
from studies.pairs.found import Entry, frechets
from studies.pairs.gains import gain
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
GUIDANCE = 3
"""On the caption; the best of 2, 3, 5 and 8 at four tokens."""
GUIDED = "guided"
"""Folder, in the run, of what was measured with it."""
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


def nested_steps(flow: Study) -> list[Step]:
    """Train each as the study's other tokenizers, then measure it at each number of tokens.

    The one with the caption also with guidance on it.
    """
    budget = flow.budget
    flags = (*budget.flags, "--tokenizer.nested", "true")
    study = replace(flow, budget=replace(budget, flags=flags))
    steps: list[Step] = []
    for text in PAIR:
        run = nested_run(flow, text)
        train, _ = tokenizer_steps(nested_member(flow, text), replace(study, runs=run.parent))
        steps += [train, _measure(flow, text, SPLIT, captions=budget.captions)]
    guided = _measure(flow, "both", GUIDED, captions=("true",))
    return [
        *steps,
        replace(guided, command=(*guided.command, *words("--caption-guidance", GUIDANCE))),
    ]


def _measure(flow: Study, text: str, folder: str, *, captions: Sequence[str]) -> Step:
    budget, run, counts = flow.budget, nested_run(flow, text), budgets_of(flow)
    limit = budget.limit // SHARE
    measure = words("evaluate", "reconstruction", run / "model", flow.data, "--split", SPLIT)
    place = words("--out", run / folder, "--text-cache", flow.shared / "text-cache")
    judges = judged_by(replace(budget, limit=limit))
    kinds = words("--caption-modes", *captions, "--num-tokens", *counts)
    ways = 1 if text == "none" else len(captions)
    return Step(
        command=(*measure, *place, *judges, *kinds),
        done=run / folder / "report.json",
        seconds=len(counts) * ways * limit / budget.speed.measuring,
    )


def nested_entry(flow: Study) -> Entry | None:
    """Distances and metrics by number of tokens, of each way to decode; None before that.

    ``gain_percent``: how much lower each distance is with the caption, by guidance.
    """
    ways = {
        "none": _rows(nested_run(flow, "none") / SPLIT, "absent"),
        "both": _rows(nested_run(flow, "both") / SPLIT, "true"),
        "absent": _rows(nested_run(flow, "both") / SPLIT, "absent"),
        GUIDED: _rows(nested_run(flow, "both") / GUIDED, "true"),
    }
    if not any(ways.values()):
        return None
    gains = {way: _gains(ways["none"], ways[way]) for way in ("both", GUIDED)}
    return {**ways, "guidance": GUIDANCE, "gain_percent": gains}


def _rows(report: Path, source: str) -> Entry:
    """Of one report, by number of tokens; empty before it is there."""
    path = report / "report.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {
        str(row["tokens"]): {
            "frechet": frechets(found["metric"], row),
            **{name: value["mean"] for name, value in row["metrics"].items()},
        }
        for row in found["rows"]
        if row["source"] == source
    }


def _gains(without: Entry, with_text: Entry) -> Entry:
    return {
        count: {
            metric: gain(without[count]["frechet"][metric], distance)
            for metric, distance in row["frechet"].items()
        }
        for count, row in with_text.items()
        if count in without
    }


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
