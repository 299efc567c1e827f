"""The models that ship: data, training, judgement, and the swap of each if it is better.

First the tokenizer, then the generator on its latents: a flow, and MeanFlow from it.

    python -m studies.weights --data data/products-64 --runs runs/weights
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from studies.command import run_command
from studies.drawing import extract_step, judge_step, train_step
from studies.steps import TWO_JUDGES, Step, run_steps, words
from studies.subset import write_splits
from textok.config.bundled import BUNDLED
from textok.evaluate import Report, read_generation_report, read_report
from textok.extract.extraction import weights_sha256
from textok.pipeline import load_pipeline, save_pipeline
from textok.runtime.files import replace_folder
from textok.runtime.pretrained import WEIGHTS
from textok.tokenizer import Tokenizer

ASSETS = Path("textok/assets") / BUNDLED
BUDGETS = (0, 1, 2, 4, 8)
"""Numbers of tokens that are measured."""
LIMIT = 500
"""Held-out images that models are measured on, evenly spaced."""
TRAINING_LIMIT = 4_000
"""Training images that generated ones are compared with, evenly spaced."""
NOTES = Path(__file__).with_suffix(".md")
"""The end of the model card: data, training, limits, licence."""
TOKENIZER = "products-flow-64"
LONGER = words(
    *("--freeze-encoder", "true", "--optim.lr", 5e-4, "--optim.muon-lr", 7.5e-3),
    *("--optim.warmup", 50),
)
"""What the decoder is trained further by, on tokens that stay what they are."""
STUDENT = words(
    *("flow-one-step", "--tokenizer.sampling.steps", 4, "--loss.distillation.steps", 8),
    *("--loss.distillation.caption-guidance", 3, "--optim.lr", 3e-4, "--optim.muon-lr", 5e-3),
    *("--optim.warmup", 30, "--run.steps", 450),
)
"""What it is distilled by, from sixteen passes with guidance on the name to four without."""
GENERATOR = words("--generator.network.width", 240)
"""Of the preset of the flow: beside this tokenizer its 256 would be too large to ship."""
FAST = words(
    *("meanflow", *GENERATOR, "--generator.time-frequency", 1000, "--run.steps", 800),
    *("--sampling.steps", 4, "--sampling.guidance.scale", 2),
)
"""What a flow is trained further by, until it takes four passes instead of sixteen."""
SPLITS = ("test",)
TOKENIZER_REPORT = ("report.json", "report.md", "sheet.png")
GENERATOR_REPORT = (*TOKENIZER_REPORT, "memorisation.png", "distances.png")
MOST_BYTES = 26_000_000
"""Of tokenizer and generator together."""


def judged(model: Path, data: Path, runs: Path, out: Path) -> list[Step]:
    """Measure a tokenizer on held-out pictures, with fewer tokens too, beside PCA."""
    return [
        Step(
            command=words(
                *("evaluate", "reconstruction", model, data, "--split", split, "--pca"),
                *TWO_JUDGES,
                *("--num-tokens", *BUDGETS, "--limit", LIMIT, "--out", out / split),
                *("--caption-modes", "true", "absent", "shuffled"),
                *("--text-cache", runs / "text-cache", "--pca-cache", runs / "pca"),
            ),
            done=out / split / "report.json",
        )
        for split in SPLITS
    ]


def frechet(report: Report) -> float:
    """The distance with true captions and all tokens."""
    rows = [row for row in report.judged if row.tokens is not None]
    return max(rows, key=lambda row: row.tokens or 0).frechet


def latents_step(data: Path, runs: Path) -> Step:
    """The latents of the tokenizer that ships."""
    return extract_step(BUNDLED, data, runs / "latents", caches=runs)


def drawn(model: Path, runs: Path, out: Path) -> list[Step]:
    """Judge the images generated for held-out captions, beside some of the training images."""
    data = runs / "judged"
    return [
        judge_step(model, data, out / split, split=split, caches=runs, judges=TWO_JUDGES)
        for split in SPLITS
    ]


def drawn_frechet(folder: Path) -> float:
    """The distance of the pictures drawn for held-out captions."""
    return read_generation_report(folder / "test" / "report.json").scores.frechet


def pack(model: Path, packed: Path) -> None:
    """A tokenizer as it ships, in bf16: what is judged is what is shipped."""
    Tokenizer.from_pretrained(model).save_pretrained(packed, precision=torch.bfloat16)


def pack_pipeline(model: Path, packed: Path) -> None:
    """A pipeline as it ships, in bf16, once. Raises ValueError if it is too large."""
    if not packed.exists():  # newer files would throw away the pictures of an interrupted judgement
        save_pipeline(
            packed,
            load_pipeline(model),
            precision=torch.bfloat16,
            example="red women handbag",
            notes=NOTES.read_text(encoding="utf-8"),
        )
    size = sum(path.stat().st_size for path in packed.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise ValueError(
            f"{packed} has {size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}: "
            "train smaller networks"
        )


def check_tokenizer(folder: Path, remove: Sequence[Path]) -> None:
    """Raise ValueError unless ``folder/tokenizer`` is the one that ships."""
    places = (folder / "tokenizer", ASSETS / "tokenizer")
    ours, theirs = (weights_sha256(Tokenizer.from_pretrained(place)) for place in places)
    if ours != theirs:
        stale = " and ".join(map(str, remove))
        raise ValueError(f"{folder} is of another tokenizer than {ASSETS}: remove {stale}")


def install(packed: Path, part: str = "") -> None:
    """Put packed weights where the package finds them, in place of all that is there.

    A tokenizer is a ``part`` alone: the generator of another one does not fit it.
    """
    writing = ASSETS.with_name(f".writing-{ASSETS.name}")
    shutil.rmtree(writing, ignore_errors=True)
    shutil.copytree(packed, writing / part)
    replace_folder(writing, ASSETS)


def publish(run: Path, out: Path, report: Sequence[str]) -> None:
    """Copy the reports and the training's log, curves and last sheet."""
    last = max((run / "sheets").glob("step-*.png"))
    kept = [Path("report.md"), Path("curves.png"), Path("log.jsonl"), last.relative_to(run)]
    kept += [Path(split) / name for split in SPLITS for name in report]
    for name in kept:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        if name.suffix == ".png":
            # A quarter of the bytes: the repository carries these pictures for ever.
            Image.open(run / name).convert("RGB").quantize(64).save(out / name, optimize=True)
        else:
            shutil.copyfile(run / name, out / name)


def trained(data: Path, runs: Path) -> list[Step]:
    """A tokenizer whose decoder samples; the decoder for longer; its student, which ships."""
    places = [runs / name for name in ("tokenizer", "longer", "student")]
    steps: list[Step] = []
    for flags, run in zip(((), LONGER, STUDENT), places, strict=True):
        start = words("--init", steps[-1].done.with_name("model")) if steps else ()
        place = ("--data.path", data, "--text.cache", runs / "text-cache", "--run.out", run)
        command = words("train", "tokenizer", TOKENIZER, *flags, *start, *place)
        steps.append(Step(command=command, done=run / "report.md"))
    return steps


def make_tokenizer(data: Path, runs: Path, out: Path) -> None:
    """Train and judge a tokenizer; ship it if it beats the one that ships."""
    steps, shipped = trained(data, runs), runs / "shipped"
    run = steps[-1].done.parent
    run_steps(steps)
    packed, there = run / "packed", ASSETS / "tokenizer"
    pack(run / "model", packed)
    run_steps(judged(packed, data, runs, run))
    if there.exists():
        run_steps(judged(there, data, runs, shipped))
        to_beat = frechet(read_report(shipped / "test" / "report.json"))
        if frechet(read_report(run / "test" / "report.json")) >= to_beat:
            print(f"{there} stays: the new weights are no better")
            return
    publish(run, out, TOKENIZER_REPORT)
    install(packed, "tokenizer")
    shutil.rmtree(shipped, ignore_errors=True)
    print(f"{there} is new; its report is in {out}")


def make_generator(data: Path, runs: Path, out: Path) -> None:
    """Train and judge a generator on the tokenizer that ships; ship it if it beats the last."""
    latents, flow, run = (runs / name for name in ("latents", "generator", "fast"))
    shipped = runs / "shipped-generator"
    run_steps([latents_step(data, runs)])
    check_tokenizer(latents, remove=[latents, flow, run])
    run_steps([train_step("dit-products-64", latents, flow, caches=runs, flags=GENERATOR)])
    flags = (*FAST, *words("--init", flow / "model"))
    run_steps([train_step("dit-products-64", latents, run, caches=runs, flags=flags)])
    check_tokenizer(run / "model", remove=[flow, run])
    packed, there = run / "packed", ASSETS / "generator"
    pack_pipeline(run / "model", packed)
    write_splits(data, runs / "judged", {"train": TRAINING_LIMIT, "test": LIMIT})
    run_steps(drawn(packed, runs, run))
    if there.exists():
        if filecmp.cmp(packed / "generator" / WEIGHTS, there / WEIGHTS, shallow=False):
            print(f"{there} has the new weights already")
            return
        run_steps(drawn(ASSETS, runs, shipped))
        if drawn_frechet(run) >= drawn_frechet(shipped):
            print(f"{there} stays: the new weights are no better")
            return
    publish(run, out, GENERATOR_REPORT)
    install(packed)
    shutil.rmtree(shipped, ignore_errors=True)
    print(f"{there} is new; its report is in {out}")


def main(
    *,
    data: Path = Path("data/products-64"),
    runs: Path = Path("runs/weights"),
    out: Path = Path("docs/results"),
) -> None:
    """Train and judge what is not done yet; ship what beats what ships.

    Args:
        data: Products at 64 px, as `textok data prepare` writes them (docs/catalogue.md).
        runs: Folder of the runs.
        out: Folder of the reports, bundled-tokenizer and bundled-generator.
    """
    make_tokenizer(data, runs, out / "bundled-tokenizer")
    make_generator(data, runs, out / "bundled-generator")


if __name__ == "__main__":
    run_command(main, "studies.weights")
