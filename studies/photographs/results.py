"""Trained tokenizers and their reports as a few files of limited size, and back as runs."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from studies.pairs.study import SPLIT
from studies.pairs.summary import HARDWARE
from studies.photographs.baggage import load_parts, rounded, save_parts
from textok.runtime.files import atomic_write
from textok.runtime.pretrained import CARD, CONFIG, WEIGHTS

REPORTS = "reports.tar"
KEPT = (
    "config.yaml",
    "log.jsonl",
    "report.md",
    f"{SPLIT}/report.json",
    f"{SPLIT}/report.md",
    f"{SPLIT}/sheet.png",
    f"model/{CONFIG}",
    f"model/{CARD}",
)
MOST_FILES = 8
"""Files in all, that of the reports included."""


def write_results(runs: Path, names: Sequence[str], out: Path, *, files: int = MOST_FILES) -> None:
    """What the runs ``names`` left: all but weights in one file, and weights as far as they fit.

    Of the runs that are trained the first ones' weights come along, in bf16, whole or not at all.
    """
    out.mkdir(parents=True, exist_ok=True)
    _write_reports(runs, names, out)
    left = files - 1
    for name in names:
        if not (runs / name / "report.md").exists():
            continue
        parts = sorted(out.glob(f"{name}-?.safetensors"))
        if not parts:
            parts = save_parts(rounded(load_file(runs / name / "model" / WEIGHTS)), out / name)
        if len(parts) > left:
            for part in parts:
                part.unlink()
            return
        left -= len(parts)


def _write_reports(runs: Path, names: Sequence[str], out: Path) -> None:
    with atomic_write(out / REPORTS) as temporary, tarfile.open(temporary, "w:gz") as reports:
        for file in (HARDWARE, *(f"{name}/{kept}" for name in names for kept in KEPT)):
            if (runs / file).exists():
                reports.add(runs / file, arcname=file)


def collect_results(results: Path, runs: Path) -> list[str]:
    """Put what ``write_results`` wrote back as runs; the names of those whose weights came along.

    Files that are there already stay. Raises ValueError where there are no results.
    """
    if not (results / REPORTS).is_file():
        raise ValueError(f"{results} has no {REPORTS}: give the folder that came back")
    with _undamaged(results / REPORTS), tarfile.open(results / REPORTS) as reports:
        for member in reports:
            stream, target = reports.extractfile(member), (runs / member.name).resolve()
            if stream is None or runs.resolve() not in target.parents:
                raise ValueError(f"{results / REPORTS}: {member.name} is no file of a run")
            if not target.exists():
                _write(target, stream.read())
    names = sorted({path.name.rsplit("-", 1)[0] for path in results.glob("*-?.safetensors")})
    for name in names:
        target = runs / name / "model" / WEIGHTS
        if not target.exists():
            with _undamaged(results / name):
                weights = load_parts(results / name)
            with atomic_write(target) as temporary:
                save_file(weights, temporary, metadata={"format": "pt"})
    return names


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """Raise ValueError, with the name of what came back, where it cannot be read."""
    try:
        yield
    except (tarfile.TarError, EOFError, SafetensorError) as error:
        why = str(error).partition("\n")[0].rstrip(":")
        raise ValueError(f"{path}: damaged ({why}); bring it again") from error


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        temporary.write_bytes(content)
