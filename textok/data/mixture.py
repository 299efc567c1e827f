"""Several data sets with weights as one: ``data.path`` = ``"a=0.7 b=0.3"``."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from textok.config.check import require
from textok.config.data import DataConfig
from textok.data.detect import find_entries
from textok.data.records import Entry, Record
from textok.data.report import ReadReport

MIN_SHARE = 1e-6
"""The smallest share of the draws that a set can have."""


@dataclass(frozen=True, kw_only=True)
class MixtureSet:
    """One data set of a mixture, as the setting names it."""

    name: str
    """The last part of its path; as many more parts as make it unique in the mixture."""
    path: str
    """Whatever ``data.path`` can be alone."""
    weight: float
    """Share of the draws; all shares add up to 1."""


@dataclass(frozen=True, kw_only=True)
class MixturePart:
    """One data set of a mixture, as it was read."""

    name: str
    weight: float
    """Share of the draws; all shares add up to 1."""
    images: range
    """Its places among the records of the mixture."""


def parse_mixture(path: str) -> list[MixtureSet]:
    """The sets of ``PATH=WEIGHT PATH=WEIGHT ...``; none where ``path`` is a plain path.

    A path that exists is plain, whatever it contains. Quotes hold a path with spaces together, as
    in a shell; the weight stands behind the last ``=``. Weights are divided by their sum.

    Raises:
        ValueError: a set without a usable weight, with under ``MIN_SHARE`` of it, or named twice.
    """
    # Not by Path: it raises an error for long names and unknown users, as a mixture may look like.
    if os.path.exists(os.path.expanduser(path)):  # noqa: PTH110, PTH111
        return []
    words = _words(path)
    weighted = any(_number(word.rpartition("=")[2]) is not None for word in words if "=" in word)
    if not weighted and not (len(words) > 1 and all("=" in word for word in words)):
        return []
    pairs = [_path_and_weight(word, path) for word in words]
    total = sum(weight for _, weight in pairs)
    require(math.isfinite(total), f"data.path {path}: the weights are too large to add up")
    for folder, weight in pairs:
        require(
            weight / total >= MIN_SHARE,
            f"data.path {path}: {folder} has under a millionth of the weights; leave it out",
        )
    paths = [folder for folder, _ in pairs]
    places = [os.path.realpath(Path(folder).expanduser()) for folder in paths]
    for number, place in enumerate(places):
        require(
            place not in places[:number],
            f"data.path {path}: {paths[number]} is named twice; add its weights up",
        )
    return [
        MixtureSet(name=name, path=folder, weight=weight / total)
        for name, (folder, weight) in zip(_names(places), pairs, strict=True)
    ]


def mixture_entries(
    config: DataConfig, sets: Sequence[MixtureSet], report: ReadReport
) -> Iterator[Entry]:
    """The records of all sets, one set after the other; the key is NAME/KEY.

    Raises:
        ValueError: as :func:`textok.data.detect.find_entries` for each of the sets.
    """
    for part in sets:
        own = ReadReport()
        for record, fields in find_entries(replace(config, path=part.path), own):
            yield replace(record, key=f"{part.name}/{record.key}"), fields
        report.add(own, prefix=f"{part.name}/")


def all_entries(config: DataConfig, report: ReadReport) -> Iterable[Entry]:
    """The records of ``data.path``, be it one set or several with weights.

    Raises:
        ValueError: as :func:`parse_mixture` and :func:`textok.data.detect.find_entries`.
    """
    sets = parse_mixture(config.path)
    return mixture_entries(config, sets, report) if sets else find_entries(config, report)


def find_parts(path: str, sets: Sequence[MixtureSet], records: list[Record]) -> list[MixturePart]:
    """Where each set lies among the ``records`` of :func:`mixture_entries`.

    Raises:
        ValueError: a set of which nothing is left, or two sets that are the same images.
    """
    sizes = dict.fromkeys((part.name for part in sets), 0)
    for record in records:
        sizes[record.key.partition("/")[0]] += 1
    parts: list[MixturePart] = []
    seen: dict[object, str] = {}
    start = 0
    for part in sets:
        images = range(start, start + sizes[part.name])
        require(
            len(images) > 0,
            f"data.path {path}: no image of {part.path} is left to draw; leave that set out, or "
            "check data.where",
        )
        ends = [(records[at].file, records[at].span) for at in (images[0], images[-1])]
        first = seen.setdefault((len(images), *ends), part.path)
        require(
            first == part.path,
            f"data.path {path}: {first} and {part.path} are the same images; add their weights up",
        )
        parts.append(MixturePart(name=part.name, weight=part.weight, images=images))
        start = images.stop
    return parts


def _words(path: str) -> list[str]:
    try:
        return shlex.split(path)
    except ValueError:  # a quote that is not closed: an apostrophe in a plain path
        return path.split()


def _path_and_weight(word: str, path: str) -> tuple[str, float]:
    folder, sign, number = word.rpartition("=")
    require(
        bool(sign and folder),
        f"data.path {path}: '{word}' has no weight; write each set as PATH=WEIGHT, in quotes where "
        "the path has spaces",
    )
    weight = _number(number)
    if weight is None or not (weight > 0 and math.isfinite(weight)):
        raise ValueError(
            f"data.path {path}: the weight of {folder} is '{number}'; it must be a number above 0"
        )
    return folder, weight


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _names(places: list[str]) -> list[str]:
    """The last parts of the paths, equally many of each, as few as tell them apart."""
    parts = [[part for part in Path(place).parts if part != os.sep] for place in places]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["-".join(several[-count:]).removesuffix(".tar") for several in parts]
        if len(set(names)) == len(names):
            return names
    return [f"set-{number}" for number in range(len(places))]
