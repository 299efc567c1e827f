"""From a tokenizer to judged pictures: the steps, and the tables of their reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from studies.steps import JUDGE, Step, words
from textok.evaluate import GenerationReport, read_generation_report
from textok.evaluate.generation_report import Scores
from textok.evaluate.markdown import markdown_bullets, markdown_table, mean_and_range
from textok.runtime.files import write_text

Key = TypeVar("Key")

SAME = ("split", "where", "images", "pictures", "drawn by", "feature network")
"""Entries of the protocol without whose agreement no two rows of a table compare."""


def extract_step(
    tokenizer: str | Path,
    data: Path,
    latents: Path,
    *,
    caches: Path,
    where: str = "",
    flip: bool = False,
    captions_per_image: int = 0,
    flags: Sequence[str] = (),
) -> Step:
    """The latents of the pictures to train on and to validate by; ``flip``: also mirrored.

    With the first ``captions_per_image`` of each, or with all.
    """
    some = (("--where", where) if where else ()) + (("--flip",) if flip else ())
    some += ("--captions-per-image", str(captions_per_image)) if captions_per_image else ()
    place = ("--splits", "train", "val", "--text-cache", caches / "text-cache")
    return Step(
        command=words("extract", tokenizer, data, latents, *some, *flags, *place),
        done=latents / "val" / "index.json",
    )


def train_step(
    preset: str, latents: Path, run: Path, *, caches: Path, flags: Sequence[str] = ()
) -> Step:
    """A generator on those latents; its pipeline is ``run/model``."""
    place = ("--latents.path", latents, "--text.cache", caches / "text-cache", "--run.out", run)
    return Step(command=words("train", "generator", preset, *flags, *place), done=run / "report.md")


def judge_step(
    model: str | Path,
    data: Path,
    out: Path,
    *,
    split: str,
    caches: Path,
    where: str = "",
    judges: Sequence[str] = JUDGE,
    flags: Sequence[str] = (),
) -> Step:
    """Images generated for a split and compared with its own, in the networks of ``judges``."""
    some = ("--where", where) if where else ()
    place = ("--text-cache", caches / "text-cache", "--feature-cache", caches / "features")
    return Step(
        command=words(
            *("evaluate", "generation", model, data, "--split", split, *some, *flags),
            *judges,
            *("--out", out, *place),
        ),
        done=out / "report.json",
    )


def retrieval(scores: Scores) -> float | None:
    """The share of drawn pictures whose caption is found first among 100."""
    return None if scores.alignment is None else scores.alignment.drawn.at_1.mean


def real_retrieval(scores: Scores) -> float | None:
    """The same of the real images: the ceiling."""
    return None if scores.alignment is None else scores.alignment.real.at_1.mean


MEASURES: dict[str, Callable[[Scores], float | None]] = {
    "precision ↑": lambda scores: scores.manifold.precision,
    "recall ↑": lambda scores: scores.manifold.recall,
    "retrieval@1 ↑": retrieval,
    "of real images": real_retrieval,
}


def quality_table(
    heads: Sequence[str], rows: Sequence[tuple[Sequence[str], Sequence[GenerationReport]]]
) -> list[str]:
    """Lines of a table: a row's own cells, then what its reports found, mean and range.

    Measures that some report lacks are left out.
    """
    every = [report for _, reports in rows for report in reports]
    shown = {
        name: measure
        for name, measure in MEASURES.items()
        if all(measure(report.scores) is not None for report in every)
    }
    table = []
    for cells, reports in rows:
        found = [mean_and_range([report.scores.frechet for report in reports], 2)]
        for measure in shown.values():
            values = [measure(report.scores) for report in reports]
            found.append(mean_and_range([value for value in values if value is not None], 3))
        table.append([*cells, *found])
    return markdown_table([*heads, f"{every[0].metric} ↓", *shown], table)


def write_comparison(
    out: Path, command: str, reports: Sequence[GenerationReport], *tables: Sequence[str]
) -> None:
    """Write ``out/comparison.md``: the command, what was measured, the tables, warnings.

    Raises ValueError for reports of different protocols.
    """
    first = {name: reports[0].protocol[name] for name in SAME}
    for report in reports:
        for name, value in first.items():
            if report.protocol[name] != value:
                raise ValueError(
                    f"{out}: {name} is {report.protocol[name]!r} in one report and {value!r} in "
                    "another: such numbers do not compare; remove the older reports"
                )
    parts = [[f"    {command}"], *tables, markdown_bullets(first)]
    warnings = sorted({warning for report in reports for warning in report.warnings})
    parts += [[f"- Warning: {warning}" for warning in warnings]] if warnings else []
    out.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join("\n".join(part) for part in parts if part)
    write_text(out / "comparison.md", text + "\n")


def reports_in(folders: Mapping[Key, Path]) -> dict[Key, GenerationReport]:
    """What is complete of the judgements in ``folders``."""
    paths = {key: folder / "report.json" for key, folder in folders.items()}
    return {key: read_generation_report(path) for key, path in paths.items() if path.exists()}
