"""The tokenizer that ships: data, training, judgement, and the swap if it is better.

python -m studies.weights --data data/pictograms-64 --runs runs/weights
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
import tyro

from studies.steps import Step, run_steps, words
from textok.evaluate.report import Report, read_report
from textok.tokenizer import Tokenizer

BUNDLED = Path("textok/assets/pictograms/tokenizer")
SPLITS = ("test", "test_seen")
REPORT = ("report.json", "report.md", "sheet.png")
GPU_FLAGS = words("--run.steps", 20_000, "--run.batch-size", 256, "--data.workers", 12)
"""On a GPU the same network sees 33 times as many images; not run yet."""


def judged(model: Path, data: Path, runs: Path, out: Path) -> list[Step]:
    """Measure a tokenizer on both splits, beside PCA, on the styles that it was trained on."""
    return [
        Step(
            command=words(
                *("evaluate", "reconstruction", model, data, "--split", split, "--pca"),
                *("--where", "style!=openmoji", "--out", out / split),
                *("--text-cache", runs / "text-cache", "--pca-cache", runs / "pca"),
            ),
            done=out / split / "report.json",
        )
        for split in SPLITS
    ]


def frechet(report: Report) -> float:
    """The distance with true captions and all tokens."""
    return next(row.frechet for row in report.judged if row.tokens is not None)


def pack(model: Path, packed: Path) -> None:
    """The weights as they ship, in bf16: what is judged is what is shipped."""
    Tokenizer.from_pretrained(model).save_pretrained(packed, precision=torch.bfloat16)


def install(packed: Path) -> None:
    """Put packed weights where the package finds them."""
    writing = BUNDLED.with_name(".writing-tokenizer")
    shutil.rmtree(writing, ignore_errors=True)
    shutil.copytree(packed, writing)
    shutil.rmtree(BUNDLED, ignore_errors=True)
    writing.rename(BUNDLED)


def publish(run: Path, out: Path) -> None:
    """Copy the reports and the training's log, curves and last sheet."""
    last = max((run / "sheets").glob("step-*.png"))
    kept = [Path("report.md"), Path("curves.png"), Path("log.jsonl"), last.relative_to(run)]
    kept += [Path(split) / name for split in SPLITS for name in REPORT]
    for name in kept:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run / name, out / name)


def main(
    *,
    data: Path = Path("data/pictograms-64"),
    runs: Path = Path("runs/weights"),
    out: Path = Path("docs/results/bundled-tokenizer"),
) -> None:
    """Train and judge what is not done yet; ship the new weights if they beat those that ship.

    Args:
        data: The pictograms at 64 px.
        runs: Folder of the runs.
        out: Folder of the report.
    """
    run = runs / "tokenizer"
    flags = GPU_FLAGS if torch.cuda.is_available() else ()
    train = words("train", "tokenizer", "pictograms-64", *flags, "--data.path", data)
    place = words("--text.cache", runs / "text-cache", "--run.out", run)
    run_steps([Step(command=(*train, *place), done=run / "report.md")])
    packed = run / "packed"
    pack(run / "model", packed)
    run_steps(judged(packed, data, runs, run))
    if BUNDLED.exists():
        run_steps(judged(BUNDLED, data, runs, runs / "shipped"))
        shipped = frechet(read_report(runs / "shipped" / "test" / "report.json"))
        if frechet(read_report(run / "test" / "report.json")) >= shipped:
            print(f"{BUNDLED} stays: the new weights are no better")
            return
    install(packed)
    shutil.rmtree(runs / "shipped", ignore_errors=True)
    publish(run, out)
    print(f"{BUNDLED} is new; its report is in {out}")


if __name__ == "__main__":
    tyro.cli(main)
