"""All classes to shards by several processes: plan, check the room, write, count."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from textok.config.check import require
from textok.config.datasets import ImageNetConfig
from textok.data.report import ReadReport
from textok.datasets.imagenet.sources import find_classes
from textok.datasets.imagenet.write import Job, Recipe, Written, write_shard
from textok.datasets.place import BUILD, own_folder, write_note
from textok.datasets.workers import run_jobs
from textok.runtime.counter import counter
from textok.runtime.files import write_text
from textok.runtime.pretrained import read_json

NOTE = "recipe.json"
CLASSES = 1_000
IMAGES = {"train": 1_281_167, "val": 50_000}
SECONDS_A_CLASS = 86_400.0
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """Counts of a finished split; also written as SPLIT/summary.json."""

    split: str
    classes: int
    images: int
    bytes: int
    bad: dict[str, str]
    """Why an image was left out, by SYNSET/NAME."""

    def warning(self) -> str:
        """What is not as in the whole of ImageNet; empty where all is there."""
        found = (self.images + len(self.bad), self.classes)
        expected = (IMAGES[self.split], CLASSES)
        if found == expected:
            return ""
        return "{} has {:,} images of {:,} classes where ImageNet has {:,} of {:,}".format(
            self.split, *found, *expected
        )


def build_imagenet(config: ImageNetConfig, *, progress: bool = True) -> list[SplitSummary]:
    """Write ImageNet to ``out``/{train,val}/SYNSET.tar, or continue a run that was interrupted.

    The same bytes come out whatever the layout of ``source``, the number of workers, or where an
    earlier run was killed. Each image has its class name as ``label``, ``synset`` and
    ``class_index`` in its JSON and, with ``captions``, "a photo of a CLASS" as its caption.

    Raises:
        ValueError: ``source`` is none of the layouts or damaged, ``out`` holds something else, or
            the disk has no room.
        BadFilesError: too many images cannot be read.
    """
    out, splits = config.out, config.splits
    recipe = Recipe(
        size=config.size,
        encoding=config.encoding,
        captions=config.captions,
        square=config.square,
        resize=config.resize,
    )
    jobs = [
        Job(images=images, recipe=recipe, out=out)
        for split in dict.fromkeys(splits)
        for images in find_classes(config.source, split)
    ]
    _check_place(out, recipe, jobs)
    found = ((job.shard, job.finished()) for job in jobs)
    done = {shard: written for shard, written in found if written is not None}
    left = [job for job in jobs if job.shard not in done]
    _check_room(out, left)
    _prepare(out, recipe, splits)
    share = config.max_bad_share
    done |= _write(left, done, workers=config.workers, max_bad_share=share, progress=progress)
    return [_summarise(out, split, jobs, done) for split in dict.fromkeys(splits)]


def _check_place(out: Path, recipe: Recipe, jobs: Sequence[Job]) -> None:
    """Refuse a folder that holds something else than these shards of this recipe."""
    note = out / BUILD / NOTE
    if note.is_file():
        there = read_json(note)
        require(
            {"square": True, "resize": "lanczos", **there} == asdict(recipe),
            f"{out}: was made with other settings ({there}); give them or choose another folder",
        )
    else:
        own_folder(out, note=NOTE, kind="an ImageNet").check()
    wanted = {job.shard for job in jobs}
    for folder in {shard.parent for shard in wanted}:
        other = sorted(shard.name for shard in set(folder.glob("*.tar")) - wanted)
        require(not other, f"{folder}: has {', '.join(other[:3])}, which the source does not have")


def _check_room(out: Path, jobs: Sequence[Job]) -> None:
    needed = sum(job.recipe.estimate(job.images.images, job.images.size) for job in jobs)
    place = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    require(
        needed <= free,
        f"{out}: about {needed / GIB:.1f} GiB are needed and {free / GIB:.1f} GiB are free; make "
        "room, or choose a smaller --size or one of --splits",
    )


def _prepare(out: Path, recipe: Recipe, splits: Sequence[str]) -> None:
    """Make the folders and delete what a killed run left half written."""
    write_note(out, NOTE, json.dumps(asdict(recipe)))
    for split in splits:
        (out / split).mkdir(parents=True, exist_ok=True)
        (out / BUILD / split).mkdir(parents=True, exist_ok=True)
        for leftover in (out / split).glob(".*.tmp"):
            leftover.unlink(missing_ok=True)


def _write(
    jobs: Sequence[Job],
    done: dict[Path, Written],
    *,
    workers: int,
    max_bad_share: float,
    progress: bool,
) -> dict[Path, Written]:
    """Write the shards that are left; images are counted as their class is finished."""
    finished = sum(written.images + len(written.bad) for written in done.values())
    report = ReadReport(images=finished + sum(job.images.images for job in jobs))
    for shard, earlier in done.items():
        report.bad |= _keys(shard, earlier)
    report.check_share(max_bad_share)
    new: dict[Path, Written] = {}
    with counter("images", total=report.images, done=finished, shown=progress) as advance:
        outcomes = run_jobs(write_shard, jobs, workers=workers, seconds_each=SECONDS_A_CLASS)
        for outcome in outcomes:
            job, written = outcome.job, outcome.result
            if written is None:
                raise ValueError(
                    f"{outcome.failure.removeprefix('ValueError: ')} (writing {job.shard}); the "
                    "same command continues"
                )
            new[job.shard] = written
            advance(written.images + len(written.bad))
            report.bad |= _keys(job.shard, written)
            report.check_share(max_bad_share)
    return new


def _keys(shard: Path, written: Written) -> dict[str, str]:
    """Its bad images as the set will name them."""
    return {f"{shard.stem}/{name}": reason for name, reason in written.bad.items()}


def _summarise(
    out: Path, split: str, jobs: Sequence[Job], done: dict[Path, Written]
) -> SplitSummary:
    shards = [job.shard for job in jobs if job.images.split == split]
    own = [done[shard] for shard in shards]
    summary = SplitSummary(
        split=split,
        classes=len(own),
        images=sum(written.images for written in own),
        bytes=sum(written.bytes for written in own),
        bad={key: why for shard in shards for key, why in _keys(shard, done[shard]).items()},
    )
    write_text(out / split / "summary.json", json.dumps(asdict(summary), indent=1) + "\n")
    return summary
