"""From any readable set to a prepared one: plan, check the place, write, count."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from textok.config.check import require
from textok.config.datasets import PrepareConfig
from textok.data.report import ReadReport
from textok.datasets.prepare.plan import Item, Plan, Shares, plan
from textok.datasets.prepare.write import picture_path, write_pictures
from textok.runtime.counter import counter
from textok.runtime.files import write_text

VERSION = 1
"""Raised when the same source gives other pictures or tables."""
SHOWN_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Counts of a finished set; also written as summary.json."""

    images: dict[str, int]
    """By split."""
    classes: int
    without_caption: int
    duplicates: int
    """Pictures left out because another one has the same bytes."""
    bad: dict[str, str]
    """Key and reason of each picture that could not be read."""
    source: dict[str, str]
    """The reader's summary of each split of the source; ``all`` where it has none."""


def prepare_data(config: PrepareConfig, *, progress: bool = True) -> Prepared:
    """Write ``out``/{train,val,test}: PNG files of ``size`` pixels and metadata.jsonl.

    Of pictures with equal bytes the first by key is kept, or the one of test, then of val, where
    the source has splits. Those are kept; without, a hash of the key decides. Nothing depends on
    the order of files or on ``data.workers`` (0: in this process). The same call continues a run
    that was interrupted.

    Raises:
        ValueError: the source cannot be read, or ``out`` holds something else.
        BadFilesError: more than ``data.max_bad_share`` of the pictures cannot be read.
    """
    data, out, size, workers = config.data, config.out, config.size, config.data.workers
    _check_apart(Path(data.path).expanduser(), out)
    _check_own(out)
    found = plan(data, Shares(val=config.val, test=config.test), workers=workers, progress=progress)
    recipe = {
        "version": VERSION,
        "size": size,
        "fit": data.fit,
        "resize": data.resize,
        "source": found.digest(),
    }
    _check_recipe(out, recipe)
    for split in {item.split for item in found.items}:
        (out / split).mkdir(parents=True, exist_ok=True)
        for leftover in (out / split).glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
    (out / ".build").mkdir(parents=True, exist_ok=True)
    write_text(_note(out), json.dumps(recipe))
    report = ReadReport(images=len(found.items) + len(found.bad), bad=dict(found.bad))
    report.check_share(data.max_bad_share)
    left = [item for item in found.items if not picture_path(out, item).is_file()]
    done = len(found.items) - len(left)
    with counter("images", total=len(found.items), done=done, shown=progress) as advance:
        written = write_pictures(left, out, size=size, data=data, workers=workers)
        for count, bad in written:
            advance(count)
            report.bad |= bad
            report.check_share(data.max_bad_share)
    kept = [item for item in found.items if item.id not in report.bad]
    return _finish(out, found, kept, report.bad)


def _finish(out: Path, found: Plan, kept: Sequence[Item], bad: dict[str, str]) -> Prepared:
    """Write the tables and the summary."""
    images = {}
    for split in SHOWN_SPLITS:
        rows = [item.row() for item in kept if item.split == split]
        if rows:
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            write_text(out / split / "metadata.jsonl", "".join(lines))
            images[split] = len(rows)
    prepared = Prepared(
        images=images,
        classes=len({item.record.label for item in kept} - {None}),
        without_caption=sum(not item.record.captions for item in kept),
        duplicates=len(found.duplicates),
        bad=bad,
        source={split or "all": report.summary() for split, report in found.reports.items()},
    )
    write_text(out / "summary.json", json.dumps(asdict(prepared), indent=1) + "\n")
    return prepared


def _check_apart(source: Path, out: Path) -> None:
    inside = out.resolve() == source.resolve() or source.resolve() in out.resolve().parents
    require(not inside, f"{out}: lies in the set that is prepared; choose a folder outside it")


def _check_own(out: Path) -> None:
    """Refuse a folder that holds something else, before anything long is done."""
    free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    require(
        free or _note(out).is_file(),
        f"{out}: exists and is no prepared set; choose another folder",
    )


def _check_recipe(out: Path, recipe: Mapping[str, object]) -> None:
    if _note(out).is_file():
        there = {"resize": "lanczos", **json.loads(_note(out).read_text(encoding="utf-8"))}
        other = sorted(name for name in recipe if there.get(name) != recipe[name])
        require(
            not other,
            f"{out}: was prepared with another {' and '.join(other)}; choose another folder, or "
            "delete it",
        )


def _note(out: Path) -> Path:
    return out / ".build" / "prepare.json"
