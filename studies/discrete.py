"""Discrete tokens against continuous ones, and MaskGIT against DiT, on pictograms.

Tokenizers of K = 16 tokens see as many images each: TexTok, its no-text baseline, the same two with
a codebook (single-stage VQ), and TiTok in two stages, half of the images each, over a small VQGAN.
Then generators of one size see as many rows each: a DiT on TexTok's latents, MaskGITs on codes.

    python -m studies.discrete --data data/pictograms-64 --runs runs/discrete
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from PIL import Image

from studies.command import run_command
from studies.drawing import extract_step, judge_step, quality_table, reports_in, write_comparison
from studies.pairs.pictures import save_webp
from studies.steps import JUDGE, Step, budget_name, run_steps, words
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.data.order import evenly_spaced
from textok.pipeline import Reconstructor, TextToImage
from textok.pipeline.files import slug
from textok.runtime.sheet import picture_sheet

TOKENS = 16
WHERE = "style!=openmoji"
"""What generators are trained on and asked for: openmoji has a style of its own."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is trained and drawn."""

    steps: int
    """Of each tokenizer, over all stages."""
    rows: tuple[int, int]
    """Optimiser steps of a DiT and of a MaskGIT, of 256 rows: as many FLOPs."""
    splits: tuple[str, ...] = ("test", "test_seen")
    pictures: int = 128
    """For each number of steps that is compared."""


BUDGETS = {
    # 0.697 GFLOP a row forward and backward of dit-pictograms-64, 0.641 of maskgit-pictograms-64.
    "cpu": Budget(steps=1200, rows=(552, 600)),
    "gpu": Budget(steps=4800, rows=(8832, 9600), pictures=1000),  # not run yet
}

TOKENIZERS = {
    "textok": "TexTok: continuous, caption on both sides",
    "no-text": "its no-text baseline: continuous",
    "vq-text": "TexTok with a codebook",
    "vq": "single-stage VQ",
    "titok": "TiTok, two-stage VQ",
    "titok-text": "the same with the caption on both sides",
}
GENERATORS = {
    "dit": ("DiT", "generator", "dit-pictograms-64", "textok"),
    "maskgit": ("MaskGIT", "maskgit", "maskgit-pictograms-64", "vq-text"),
    "maskgit-titok": ("MaskGIT", "maskgit", "maskgit-pictograms-64", "titok"),
}
"""By name: what it is, the command and the preset that train it, and the tokenizer it is for."""

PROMPTS = (
    "a glossy 3D Fluent style emoji of a red apple in red and green",
    "a flat Twemoji style emoji of a cat face in yellow and black",
    "soft shaded Noto style icon, house, building, mostly brown",
    "a blue car",
    "a glossy 3D Fluent style emoji of a smiling face in yellow",
    "a flag in red, white and blue",
)
CAPTION = (
    "--tokenizer.text both --tokenizer.text-width 384 --tokenizer.text-tokens 8 "
    "--text.max-tokens 64 --text.pool 8"
).split()
"""As study-64 reads it."""
ROWS_A_STEP = 256
SHOWN = 10
"""Pictures on the sheet of reconstructions."""
STEPPED = "maskgit-titok"
SHEET_STEPS = (1, 2, 4, 8, 16)
"""Steps of the sheet, and of one judgement each."""


def tokenizer_steps(name: str, budget: Budget, data: Path, runs: Path) -> Iterator[Step]:
    """Train one tokenizer, then measure it on each split."""
    run = runs / name
    if name.startswith("titok"):
        yield from two_stages(name, budget, data, runs)
    else:
        kind = ("vq-study-64",) if name.startswith("vq") else ()
        text = "both" if name in ("textok", "vq-text") else "none"
        train = words("train", "tokenizer", "study-64", *kind, "--tokenizer.num-tokens", TOKENS)
        flags = words("--tokenizer.text", text, "--run.steps", budget.steps, "--run.out", run)
        place = words("--data.path", data, "--text.cache", runs / "text-cache")
        yield Step(command=(*train, *flags, *place), done=run / "report.md")
    for split in budget.splits:
        measure = words("evaluate", "reconstruction", run / "model", data, "--split", split, *JUDGE)
        out = words("--out", run / split, "--caption-modes", "true")
        caches = words("--text-cache", runs / "text-cache", "--pca", "--pca-cache", runs / "pca")
        yield Step(command=(*measure, *out, *caches), done=run / split / "report.json")


def two_stages(name: str, budget: Budget, data: Path, runs: Path) -> Iterator[Step]:
    """A VQGAN, the tokenizer that names its codes, and the same on pixels."""
    vqgan, first, last = runs / "vqgan", runs / f"{name}-stage1", runs / name
    place = words("--data.path", data)
    train = words("train", "vqgan", "vqgan-64", "--run.out", vqgan)
    yield Step(command=(*train, *place), done=vqgan / "report.md")
    caption = words(*CAPTION, "--text.cache", runs / "text-cache") if "text" in name else ()
    half = words("--run.steps", budget.steps // 2)
    both = (*words("--vqgan", vqgan / "model"), *caption, *half, *place)
    stage1 = words("train", "tokenizer", "titok-study-64-stage1")
    yield Step(command=(*stage1, *both, *words("--run.out", first)), done=first / "report.md")
    flags = words("--init", first / "model", "--run.out", last)
    yield Step(command=(*stage1, "titok-study-64-stage2", *both, *flags), done=last / "report.md")


def generator_steps(name: str, budget: Budget, data: Path, runs: Path) -> Iterator[Step]:
    """Latents of the generator's tokenizer, the generator, its pictures of each split."""
    _, kind, preset, tokenizer = GENERATORS[name]
    latents, run = runs / "latents" / tokenizer, runs / "generators" / name
    yield extract_step(runs / tokenizer / "model", data, latents, caches=runs, where=WHERE)
    place = words("--latents.path", latents, "--text.cache", runs / "text-cache", "--run.out", run)
    steps = words("--run.steps", budget.rows[kind == "maskgit"])
    yield Step(command=("train", kind, preset, *steps, *place), done=run / "report.md")
    for split in budget.splits:
        yield judge_step(run / "model", data, run / split, split=split, caches=runs, where=WHERE)


def count_steps(budget: Budget, data: Path, runs: Path) -> Iterator[Step]:
    """Pictures of one MaskGIT at each number of steps: a sheet, and a judgement."""
    run = runs / "generators" / STEPPED
    for count in SHEET_STEPS:
        out, flags = run / f"steps-{count}", words("--steps", count)
        draw = words("generate", *PROMPTS, "--model", run / "model", "--num-images", 1)
        last = out / f"{len(PROMPTS) - 1:03d}-{slug(PROMPTS[-1])}-0.png"
        yield Step(command=(*draw, *flags, "--separate", *words("--out", out)), done=last)
        some = words("--num-images", budget.pictures)
        yield judge_step(
            run / "model",
            data,
            out / "val",
            split="val",
            caches=runs,
            where=WHERE,
            flags=(*flags, *some),
        )


def seconds_a_picture(model: Path, *, batch: int = 16, repeats: int = 5) -> float:
    """Median time of a batch of prompts to pixels, text features included, over the batch."""
    pipe = TextToImage.from_pretrained(model)
    taken = []
    for seed in range(repeats + 1):
        began = time.perf_counter()
        pipe([f"{PROMPTS[0]} {seed}"], num_images=batch, seed=seed, batch_size=batch)
        taken.append((time.perf_counter() - began) / batch)
    return median(taken[1:])


def training_seconds(run: Path) -> float:
    """Of a finished run: its rows over the median of its logged speeds."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    speed = median([line["images_per_second"] for line in lines if "images_per_second" in line])
    return float(lines[-1]["step"] * ROWS_A_STEP / speed)


def write_tokenizers(budget: Budget, runs: Path, out: Path) -> None:
    """``comparison.md`` and its plot of each split, as `textok evaluate compare` makes them."""
    for split in budget.splits:
        reports = [runs / name / split / "report.json" for name in TOKENIZERS]
        found = [str(report) for report in reports if report.exists()]
        (out / split / "comparison.md").unlink(missing_ok=True)
        compare = words("evaluate", "compare", *found, "--out", out / split)
        run_steps([Step(command=compare, done=out / split / "comparison.md")])


def write_pictures(data: Path, runs: Path, out: Path) -> None:
    """``pictures.webp``: some of the test split, and what each tokenizer keeps of them."""
    images = open_captioned_images(DataConfig(path=str(data), split="test"), image_size=64)
    places = evenly_spaced(len(images), SHOWN)
    originals = [Image.fromarray(images.read(place, flip=False)) for place in places]
    captions = [images.records[place].captions[0] for place in places]
    columns = {"original": originals}
    for name in TOKENIZERS:
        model, cache = runs / name / "model", runs / "text-cache"
        columns[name] = Reconstructor.from_pretrained(model, text_cache=cache).reconstruct(
            originals, captions
        )
    save_webp(picture_sheet(columns, captions, cell=96), out / "pictures.webp")


def write_generators(budget: Budget, command: str, runs: Path, out: Path) -> None:
    """A table of each split: quality, training time, seconds a picture."""
    cost = {
        name: (training_seconds(runs / "generators" / name), seconds_a_picture(model))
        for name in GENERATORS
        if (model := runs / "generators" / name / "model").is_dir()
    }
    for split in budget.splits:
        found = reports_in({name: runs / "generators" / name / split for name in cost})
        if not found:
            continue
        rows = []
        for name, report in found.items():
            kind, _, _, tokenizer = GENERATORS[name]
            training, picture = cost[name]
            cells = [kind, tokenizer, f"{training:.0f}", f"{1000 * picture:.1f}"]
            rows.append((cells, [report]))
        heads = ["generator", "tokenizer", "training s", "ms a picture"]
        write_comparison(
            out / "generators" / split, command, list(found.values()), quality_table(heads, rows)
        )


def write_counts(command: str, runs: Path, out: Path) -> None:
    """MaskGIT at each number of steps: a table, and one sheet with a column each."""
    folders = {count: runs / "generators" / STEPPED / f"steps-{count}" for count in SHEET_STEPS}
    found = reports_in({count: folder / "val" for count, folder in folders.items()})
    if not found:
        return
    rows = [([str(count)], [report]) for count, report in found.items()]
    write_comparison(out / "steps", command, list(found.values()), quality_table(["steps"], rows))
    columns = {}
    for count in found:
        names = sorted(folders[count].glob("[0-9]*.png"))
        columns[f"{count} step{'s' if count > 1 else ''}"] = [Image.open(name) for name in names]
    save_webp(picture_sheet(columns, PROMPTS, cell=128), out / "steps" / "sheet.webp")


def main(
    *,
    data: Path = Path("data/pictograms-64"),
    runs: Path = Path("runs/discrete"),
    out: Path = Path("docs/results/discrete"),
    budget: str = "",
    minutes: float = 0,
) -> None:
    """Train, measure and compare what is not done yet.

    Args:
        data: The pictograms at 64 px.
        runs: Folder of the runs.
        out: Folder of the tables.
        budget: cpu or gpu; without it whichever there is.
        minutes: Begin no step after this many minutes; 0 goes on to the end.
    """
    name, _ = budget_name(budget, BUDGETS, toy=False)
    chosen = BUDGETS[name]
    steps = [step for each in TOKENIZERS for step in tokenizer_steps(each, chosen, data, runs)]
    steps += [step for each in GENERATORS for step in generator_steps(each, chosen, data, runs)]
    steps += count_steps(chosen, data, runs)
    if not run_steps(steps, minutes=minutes):
        print("not complete: the tables hold what is done; run the same command to go on")
    command = f"python -m studies.discrete --budget {name}"
    write_tokenizers(chosen, runs, out)
    write_pictures(data, runs, out)
    write_generators(chosen, command, runs, out)
    write_counts(command, runs, out)


if __name__ == "__main__":
    run_command(main, "studies.discrete")
