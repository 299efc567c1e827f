"""Images decoded, made square, resized, and written as PNG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from textok.config.data import DataConfig, Resize
from textok.data.pixels import BadImageError, decode, pad_to_square, to_square
from textok.datasets.prepare.plan import Item
from textok.datasets.workers import run_jobs
from textok.runtime.files import atomic_write

PICTURES_A_JOB = 200
SECONDS_A_JOB = 3_600.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """Some images and where they go."""

    items: Sequence[Item]
    out: Path
    size: int
    fit: Literal["crop", "pad"]
    resize: Resize


def write_pictures(
    items: Sequence[Item], out: Path, *, size: int, data: DataConfig, workers: int
) -> Iterator[tuple[int, dict[str, str]]]:
    """Write images in groups: how many are done, and which could not be read and why."""
    jobs = [
        Job(
            items=items[start : start + PICTURES_A_JOB],
            out=out,
            size=size,
            fit=data.fit,
            resize=data.resize,
        )
        for start in range(0, len(items), PICTURES_A_JOB)
    ]
    if workers == 0:
        yield from ((len(job.items), write_job(job)) for job in jobs)
        return
    for outcome in run_jobs(write_job, jobs, workers=workers, seconds_each=SECONDS_A_JOB):
        if outcome.result is None:
            reason = outcome.failure.removeprefix("ValueError: ")
            raise ValueError(f"{out}: {reason}; the same command continues")
        yield len(outcome.job.items), outcome.result


def write_job(job: Job) -> dict[str, str]:
    """Write the images of a job; id and reason of those that cannot be read.

    Raises OSError where a file cannot be written.
    """
    bad = {}
    for item in job.items:
        try:
            whole = job.resize == "adm"
            image = decode(item.record.read_bytes(), size=None if whole else job.size)
            if job.fit == "pad":
                image = pad_to_square(image)
            square = to_square(image, job.size, resize=job.resize)
        except (BadImageError, OSError) as error:
            bad[item.id] = str(error)
            continue
        target = picture_path(job.out, item)
        with atomic_write(target, shared=True) as temporary:
            Image.fromarray(square).save(temporary, "PNG")
    return bad


def picture_path(out: Path, item: Item) -> Path:
    """The file of an image."""
    return out / item.split / f"{item.name}.png"
