"""The models that ship: data, training, judgement, and the swap of each if it is better.

First the tokenizer, then the generator on its latents.

    python -m studies.weights --data data/pictograms-64 --runs runs/weights
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
import tyro
from PIL import Image

from studies.drawing import extract_step, judge_step, train_step
from studies.steps import JUDGE, Step, run_steps, words
from textok.evaluate import Report, read_generation_report, read_report
from textok.extract.extraction import weights_sha256
from textok.pipeline import load_pipeline, save_pipeline
from textok.runtime.files import replace_folder
from textok.runtime.pretrained import WEIGHTS
from textok.tokenizer import Tokenizer

BUNDLED = Path("textok/assets/pictograms")
WHERE = "style!=openmoji"
SPLITS = ("test", "test_seen")
TOKENIZER_REPORT = ("report.json", "report.md", "sheet.png")
GENERATOR_REPORT = (*TOKENIZER_REPORT, "memorisation.png", "distances.png")
GENERATOR_BYTES = 22_000_000
"""The most that the generator may add to the package."""


def judged(model: Path, data: Path, runs: Path, out: Path) -> list[Step]:
    """Measure a tokenizer on both splits, beside PCA, on the styles that it was trained on."""
    return [
        Step(
            command=words(
                *("evaluate", "reconstruction", model, data, "--split", split, "--pca"),
                *JUDGE,
                *("--where", WHERE, "--out", out / split),
                *("--text-cache", runs / "text-cache", "--pca-cache", runs / "pca"),
            ),
            done=out / split / "report.json",
        )
        for split in SPLITS
    ]


def frechet(report: Report) -> float:
    """The distance with true captions and all tokens."""
    return next(row.frechet for row in report.judged if row.tokens is not None)


def latents_step(data: Path, runs: Path) -> Step:
    """The latents of the tokenizer that ships."""
    return extract_step("pictograms", data, runs / "latents", caches=runs, where=WHERE, flip=True)


def drawn(model: Path, data: Path, runs: Path, out: Path) -> list[Step]:
    """Judge a pipeline's pictures for both splits, in the styles that it was trained on."""
    return [
        judge_step(model, data, out / split, split=split, caches=runs, where=WHERE)
        for split in SPLITS
    ]


def drawn_frechet(folder: Path) -> float:
    """The distance of the pictures drawn for held-out concepts."""
    return read_generation_report(folder / "test" / "report.json").scores.frechet


def pack(model: Path, packed: Path) -> None:
    """A tokenizer as it ships, in bf16: what is judged is what is shipped."""
    Tokenizer.from_pretrained(model).save_pretrained(packed, precision=torch.bfloat16)


def pack_pipeline(model: Path, packed: Path) -> None:
    """A pipeline as it ships, in bf16, once. Raises SystemExit if its generator is too large."""
    if not packed.exists():  # newer files would throw away the pictures of an interrupted judgement
        save_pipeline(packed, load_pipeline(model), precision=torch.bfloat16)
    size = sum(path.stat().st_size for path in (packed / "generator").iterdir())
    if size > GENERATOR_BYTES:
        raise SystemExit(
            f"{packed / 'generator'} has {size / 1e6:.1f} MB, more than "
            f"{GENERATOR_BYTES / 1e6:.0f}: train a smaller network"
        )


def check_tokenizer(folder: Path, remove: Sequence[Path]) -> None:
    """Raise SystemExit unless ``folder/tokenizer`` is the one that ships."""
    places = (folder / "tokenizer", BUNDLED / "tokenizer")
    ours, theirs = (weights_sha256(Tokenizer.from_pretrained(place)) for place in places)
    if ours != theirs:
        stale = " and ".join(map(str, remove))
        raise SystemExit(f"{folder} is of another tokenizer than {BUNDLED}: remove {stale}")


def install(packed: Path, part: str = "") -> None:
    """Put packed weights where the package finds them, in place of all that is there.

    A tokenizer is a ``part`` alone: the generator of another one does not fit it.
    """
    writing = BUNDLED.with_name(f".writing-{BUNDLED.name}")
    shutil.rmtree(writing, ignore_errors=True)
    shutil.copytree(packed, writing / part)
    replace_folder(writing, BUNDLED)


def publish(run: Path, out: Path, report: Sequence[str]) -> None:
    """Copy the reports and the training's log, curves and last sheet."""
    last = max((run / "sheets").glob("step-*.png"))
    kept = [Path("report.md"), Path("curves.png"), Path("log.jsonl"), last.relative_to(run)]
    kept += [Path(split) / name for split in SPLITS for name in report]
    for name in kept:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        if name.suffix == ".png":
            # A third of the bytes: the repository carries these pictures for ever.
            Image.open(run / name).convert("RGB").quantize(256).save(out / name, optimize=True)
        else:
            shutil.copyfile(run / name, out / name)


def make_tokenizer(data: Path, runs: Path, out: Path) -> None:
    """Train and judge a tokenizer; ship it if it beats the one that ships."""
    run, shipped = runs / "tokenizer", runs / "shipped"
    train = words("train", "tokenizer", "pictograms-64", "--data.path", data)
    place = words("--text.cache", runs / "text-cache", "--run.out", run)
    run_steps([Step(command=(*train, *place), done=run / "report.md")])
    packed, there = run / "packed", BUNDLED / "tokenizer"
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
    latents, run, shipped = runs / "latents", runs / "generator", runs / "shipped-generator"
    run_steps([latents_step(data, runs)])
    check_tokenizer(latents, remove=[latents, run])
    run_steps([train_step("dit-pictograms-64", latents, run, caches=runs)])
    check_tokenizer(run / "model", remove=[run])
    packed, there = run / "packed", BUNDLED / "generator"
    pack_pipeline(run / "model", packed)
    run_steps(drawn(packed, data, runs, run))
    if there.exists():
        if filecmp.cmp(packed / "generator" / WEIGHTS, there / WEIGHTS, shallow=False):
            print(f"{there} has the new weights already")
            return
        run_steps(drawn(BUNDLED, data, runs, shipped))
        if drawn_frechet(run) >= drawn_frechet(shipped):
            print(f"{there} stays: the new weights are no better")
            return
    publish(run, out, GENERATOR_REPORT)
    install(packed)
    shutil.rmtree(shipped, ignore_errors=True)
    print(f"{there} is new; its report is in {out}")


def main(
    *,
    data: Path = Path("data/pictograms-64"),
    runs: Path = Path("runs/weights"),
    out: Path = Path("docs/results"),
) -> None:
    """Train and judge what is not done yet; ship what beats what ships.

    Args:
        data: The pictograms at 64 px.
        runs: Folder of the runs.
        out: Folder of the reports, bundled-tokenizer and bundled-generator.
    """
    make_tokenizer(data, runs, out / "bundled-tokenizer")
    make_generator(data, runs, out / "bundled-generator")


if __name__ == "__main__":
    tyro.cli(main)
