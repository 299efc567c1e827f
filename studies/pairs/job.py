"""A study run from its plan to its tables: the same call goes on where it was cut off."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from studies.command import refuse
from studies.pairs.page import write_page
from studies.pairs.pictures import save_webp, write_curves, write_sheet
from studies.pairs.study import SPLIT, Speed, Study, every_generator
from studies.pairs.summary import note_hardware, summary, write_summary
from studies.steps import Step, plan, run_steps
from textok.config import DataConfig
from textok.data import open_captioned_images


@dataclass(frozen=True, kw_only=True)
class Job:
    """A study, its steps, and what its results are called."""

    study: Study
    steps: Sequence[Step]
    commands: tuple[str, ...]
    """That made it, as the results name them."""
    out: Path
    title: str
    about: str
    """What the page says above its tables."""
    sheet_at: int
    """K of the tokenizers on the sheet."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Entries of the summary that only this study has."""


def run_job(
    job: Job,
    *,
    minutes: float = 0,
    only: str = "",
    run: Callable[[Sequence[str]], int] | None = None,
) -> bool:
    """``run_planned`` with the results of one study."""
    return run_planned(
        job.steps,
        runs=job.study.runs,
        speed=job.study.budget.speed,
        write=lambda: write_results(job),
        minutes=minutes,
        only=only,
        run=run,
    )


def run_planned(
    steps: Sequence[Step],
    *,
    runs: Path,
    speed: Speed,
    write: Callable[[], None],
    minutes: float = 0,
    only: str = "",
    run: Callable[[Sequence[str]], int] | None = None,
) -> bool:
    """Say what is to do, do it, ``write`` the results after every step; whether all is complete.

    ``only`` takes the steps in whose folders below ``runs`` a name matches, as in ``*none*``: two
    calls for different ones can run side by side. ``minutes`` and ``run`` are those of
    ``run_steps``. Raises SystemExit where ``only`` takes no step.
    """
    steps = [step for step in steps if not only or is_named(step, runs, only)]
    if not steps:
        refuse(f"--only {only}: no step is called so; names are like k4-none-s0")
    print(plan(steps, str(speed)), flush=True)
    if any(not step.done.exists() for step in steps):
        note_hardware(runs)
    complete = run_steps(steps, minutes=minutes, run=run, after=lambda _: write())
    write()
    if not complete:
        print("not complete: the tables hold what is done; run the same command to go on")
    return complete


def is_named(step: Step, runs: Path, pattern: str) -> bool:
    """Whether a folder of the step's, below ``runs``, matches."""
    return any(fnmatch(part, pattern) for part in step.done.relative_to(runs).parts)


def write_results(job: Job) -> None:
    """``summary.json``, ``README.md`` and pictures of what is complete."""
    job.out.mkdir(parents=True, exist_ok=True)
    found = {**summary(job.study, job.commands), **job.notes}
    write_summary(found, job.out)
    write_curves(job.study, job.out)
    write_sheet(job.study, job.sheet_at, job.out)
    _copy_prompts(job)
    write_page(found, job.out, title=job.title, about=job.about)


def _copy_prompts(job: Job) -> None:
    """The sheet of the last generator that drew one: that on the tokenizer with text."""
    for generator in every_generator(job.study):
        sheet = job.study.runs / "generators" / generator.name / "prompts" / "sheet.png"
        if sheet.exists():
            save_webp(sheet, job.out / "prompts.webp")


def require_splits(data: Path, *, how: str) -> None:
    """End with one line unless ``data`` has the splits that a study needs; ``how`` makes them."""
    missing = [name for name in ("train", "val", SPLIT) if not (data / name).is_dir()]
    if missing:
        refuse(f"{data} has no folder {missing[0]}: make it with `{how}`")


def training_captions(data: Path) -> list[tuple[str, ...]]:
    """The captions of each training picture. Raises ValueError for unreadable data."""
    images = open_captioned_images(DataConfig(path=str(data), split="train"), image_size=64)
    return [record.captions for record in images.records]


def count_rows(captions: Sequence[tuple[str, ...]], captions_per_image: int = 0) -> int:
    """Rows that an extraction makes of pictures with these captions, or with the first of each."""
    most = captions_per_image or sys.maxsize
    return sum(max(1, min(len(several), most)) for several in captions)
