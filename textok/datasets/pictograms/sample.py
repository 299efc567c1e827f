"""Cut the small bundled sample out of a full build."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textok.datasets.pictograms.captions import share
from textok.datasets.pictograms.files import licences_text
from textok.datasets.pictograms.packages import PACKAGES
from textok.datasets.pictograms.splits import UNSHIPPED_STYLE
from textok.runtime.files import replace_folder, write_text

COUNTS = {"train": 160, "val": 40, "test": 100}
Row = Mapping[str, Any]


def make_sample(data: Path, out: Path, *, counts: Mapping[str, int] = COUNTS) -> None:
    """Copy a few core images of every split, varied in style and group, without OpenMoji.

    Args:
        data: a folder that `build_pictograms` finished.
        out: replaced if it exists; gets the same layout as ``data``.

    Raises:
        ValueError: ``data`` is no finished build.
    """
    scratch = out.with_name(f".writing-{out.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    for split, count in counts.items():
        metadata = data / split / "metadata.jsonl"
        if not metadata.is_file():
            raise ValueError(f"{metadata}: missing; build the pictograms there first")
        rows = [json.loads(line) for line in metadata.read_text(encoding="utf-8").splitlines()]
        chosen = _choose(rows, count)
        (scratch / split).mkdir(parents=True)
        for row in chosen:
            shutil.copyfile(data / split / row["file_name"], scratch / split / row["file_name"])
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in chosen]
        write_text(scratch / split / "metadata.jsonl", "".join(lines))
    shipped = [package for package in PACKAGES if package.style != UNSHIPPED_STYLE]
    write_text(scratch / "LICENSES.md", licences_text(shipped))
    replace_folder(scratch, out)


def _choose(rows: Sequence[Row], count: int) -> list[Row]:
    """Take turns between the pairs of style and group, in an order fixed by hashes."""
    queues: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: share(f"sample {row['key']}")):
        if row["core"] and row["style"] != UNSHIPPED_STYLE and row["group"] != "other":
            queues.setdefault((row["style"], row["group"]), []).append(row)
    turns = sorted(queues, key=lambda turn: share(f"turn {turn}"))
    chosen: list[Row] = []
    while len(chosen) < count and any(queues.values()):
        chosen += [queues[turn].pop() for turn in turns if queues[turn]]
    return sorted(chosen[:count], key=lambda row: str(row["key"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of a finished build")
    parser.add_argument("out", type=Path, help="folder of the sample, replaced if it exists")
    arguments = parser.parse_args()
    make_sample(arguments.data, arguments.out)
