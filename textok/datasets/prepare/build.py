"""From any readable set to a prepared one: plan, check the place, write, count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from textok.config.datasets import PrepareConfig
from textok.data.report import ReadReport
from textok.datasets.place import Place
from textok.datasets.prepare.plan import Item, Plan, Shares, plan
from textok.datasets.prepare.write import picture_path, write_pictures
from textok.runtime.counter import counter
from textok.runtime.files import write_text

VERSION = 1
"""Raised when the same source gives other images or tables."""
SHOWN_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Counts of a finished set; also written as summary.json."""

    images: dict[str, int]
    """By split."""
    classes: int
    without_caption: int
    duplicates: int
    """Images left out because another one has the same bytes."""
    bad: dict[str, str]
    """Key and reason of each image that could not be read."""
    source: dict[str, str]
    """The reader's summary of each split of the source; ``all`` where it has none."""


def prepare_data(config: PrepareConfig, *, progress: bool = True) -> Prepared:
    """Write ``out``/{train,val,test}: PNG files of ``size`` pixels and metadata.jsonl.

    Of images with equal bytes the first by key is kept, or the one of test, then of val, where
    the source has splits. Those are kept; without, a hash of the key decides. Nothing depends on
    the order of files or on ``data.workers`` (0: in this process). The same call continues a run
    that was interrupted.

    Raises:
        ValueError: the source cannot be read, or ``out`` holds something else.
        BadFilesError: more than ``data.max_bad_share`` of the images cannot be read.
    """
    data, out, size, workers = config.data, config.out, config.size, config.data.workers
    place = Place(out=out, note="prepare", kind="a prepared set", usual={"resize": "lanczos"})
    place.check_apart(data)
    place.check_own()
    found = plan(data, Shares(val=config.val, test=config.test), workers=workers, progress=progress)
    recipe = {
        "version": VERSION,
        "size": size,
        "fit": data.fit,
        "resize": data.resize,
        "source": found.digest(),
    }
    place.begin(recipe, folders=sorted({item.split for item in found.items}))
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
    others = {item.split for item in kept} - set(SHOWN_SPLITS)
    for split in (*SHOWN_SPLITS, *sorted(others)):
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
