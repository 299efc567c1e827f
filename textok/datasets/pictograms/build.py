"""Build the pictogram data set: fetch, draw, select, lay out."""

from __future__ import annotations

import importlib.util
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from textok.config.datasets import PictogramsConfig
from textok.datasets.pictograms.files import licences_text, write_metadata
from textok.datasets.pictograms.gallery import draw_all
from textok.datasets.pictograms.packages import PACKAGES, STYLES, collect_tarballs
from textok.datasets.pictograms.pictures import Selection, select
from textok.datasets.pictograms.sheet import write_sheet
from textok.datasets.pictograms.sources import read_drawings, read_names
from textok.datasets.pictograms.splits import SPLITS
from textok.datasets.place import BUILD, SOURCES, own_folder, write_note
from textok.runtime.files import write_text

NOTE = "recipe.txt"
RECIPE = 1
"""Raised when pixels or measurements change, so that a build of before is not continued."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Counts of a finished build; also written as summary.json."""

    size: int
    pictures: Mapping[str, Mapping[str, int]]
    """By split, then by style."""
    core_pictures: Mapping[str, int]
    """By split: one tone and gender of a concept in a style."""
    concepts: int
    concepts_by_name: int
    """Before concepts with near-identical drawings were merged."""
    exact_duplicates: int
    near_duplicates: int
    twins_of_train: int
    """Held-out images dropped because a train image looks the same."""
    failures: Mapping[str, str]
    """Why an image could not be drawn, by key."""


def build_pictograms(config: PictogramsConfig, *, progress: bool = True) -> Summary:
    """Build the captioned pictograms in ``out``, or continue a build that was interrupted.

    Writes {train,val,test,test_seen}/ with metadata.jsonl and lossless WebP files of ``size``
    pixels, LICENSES.md, contact-sheet.png and summary.json: the same bytes on every run.
    ``out``/.sources keeps the packages and ``out``/.build the work done; both may be deleted
    after the build. Images that failed are tried again by the next run.

    Raises:
        ValueError: ``out`` holds something else, a package cannot be had
            or read, resvg-py is missing, or drawing fails altogether.
    """
    out, size, workers = config.out, config.size, config.workers
    if importlib.util.find_spec("resvg_py") is None:
        raise ValueError("resvg-py is missing, it draws the SVGs: pip install 'textok[data]'")
    work = out / BUILD
    recipe = work / NOTE
    _check_place(out, recipe, size)
    sources = collect_tarballs(out / SOURCES, tarballs=config.tarballs)
    write_note(out, NOTE, _recipe_text(size))
    drawings, names = read_drawings(sources), read_names(sources)
    files = {drawing.key: work / "drawn" / f"{drawing.key}.webp" for drawing in drawings}
    files |= {path.stem: path for path in out.rglob("*.webp")}
    gallery = draw_all(
        drawings,
        files=files,
        log=work / "measured.jsonl",
        size=size,
        workers=workers,
        progress=progress,
    )
    drawn = [drawing for drawing in drawings if drawing.key in gallery.measurements]
    selection = select(drawn, names, gallery.measurements)
    _lay_out(out, selection, files, aside=work / "drawn")
    summary = _summarise(selection, size, gallery.failures)
    write_text(out / "summary.json", json.dumps(asdict(summary), indent=2) + "\n")
    return summary


def _recipe_text(size: int) -> str:
    """What a build is made of: builds of the same recipe have the same bytes."""
    made_of = ", ".join(package.spec for package in PACKAGES)
    return f"recipe {RECIPE}, size {size}, from {made_of}\n"


def _check_place(out: Path, recipe: Path, size: int) -> None:
    """Refuse a place that holds something else than a build of this recipe."""
    if recipe.is_file() and recipe.read_text() != _recipe_text(size):
        raise ValueError(
            f"{out}: holds other pictograms ({recipe.read_text().strip()}); choose another folder"
            " or delete it"
        )
    own_folder(out, note=NOTE, kind="a build of pictograms").check()


def _lay_out(out: Path, selection: Selection, files: Mapping[str, Path], *, aside: Path) -> None:
    """Move the images to their splits, those left out to ``aside``, and write the rest."""
    wanted = {p.key: out / p.split / f"{p.key}.webp" for p in selection.pictures}
    for folder in {aside, *(out / split for split in SPLITS)}:
        folder.mkdir(exist_ok=True)
    for key, path in files.items():
        target = wanted.get(key, aside / path.name)
        if path != target and path.is_file():
            os.replace(path, target)
    for split in SPLITS:
        write_metadata(out / split, [p for p in selection.pictures if p.split == split])
    write_text(out / "LICENSES.md", licences_text())
    write_sheet(out / "contact-sheet.png", selection.pictures, wanted)


def _summarise(selection: Selection, size: int, failures: Mapping[str, str]) -> Summary:
    count = Counter((p.split, p.style) for p in selection.pictures)
    core = Counter(p.split for p in selection.pictures if p.core)
    return Summary(
        size=size,
        pictures={split: {style: count[split, style] for style in STYLES} for split in SPLITS},
        core_pictures={split: core[split] for split in SPLITS},
        concepts=selection.concepts,
        concepts_by_name=selection.concepts_by_name,
        exact_duplicates=selection.exact_duplicates,
        near_duplicates=selection.near_duplicates,
        twins_of_train=selection.twins_of_train,
        failures=failures,
    )
