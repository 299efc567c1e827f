"""Join drawings with names and measurements into the images of the data set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from textok.datasets.pictograms.captions import full_and_plain
from textok.datasets.pictograms.concepts import (
    concept_code,
    join_by_name,
    merge_lookalikes,
    variant_rank,
)
from textok.datasets.pictograms.packages import LICENCES, STYLES
from textok.datasets.pictograms.render import Measurement
from textok.datasets.pictograms.sources import Drawing, Name
from textok.datasets.pictograms.splits import assign_splits
from textok.datasets.pictograms.twins import LOOKALIKE, NEAR_DUPLICATE, Pair, near_pairs

SKIN_TONE = re.compile(r" ((?:medium )?(?:light|dark)|medium) skin tone$")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image of the data set; its fields stand in its line of metadata.jsonl.

    ``captions`` are the full one and the plain one, without colours. ``core`` marks one tone and
    gender of a concept in a style.
    """

    key: str
    style: str
    code: str
    concept: str
    title: str
    group: str
    subgroup: str
    keywords: tuple[str, ...]
    core: bool = False
    licence: str
    captions: tuple[str, str]
    split: str = ""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The images that are kept, sorted by key, and how many were dropped and why."""

    pictures: tuple[Picture, ...]
    exact_duplicates: int
    near_duplicates: int
    twins_of_train: int
    concepts_by_name: int
    concepts: int


def select(
    drawings: Sequence[Drawing],
    names: Mapping[str, Name],
    measurements: Mapping[str, Measurement],
) -> Selection:
    """Name the drawings, find their concepts, remove duplicates and twins, and split."""
    described = [_describe(drawing, names, measurements[drawing.key]) for drawing in drawings]
    named = {p.key: p for p in sorted(described, key=lambda p: (variant_rank(p.code), p.key))}
    pairs = _pairs_within_styles(named, measurements)
    by_name = join_by_name({key: (p.code, p.title) for key, p in named.items()})
    concepts = merge_lookalikes(by_name, pairs)
    first = {measurements[key].digest: key for key in reversed(named)}
    distinct = [key for key in named if first[measurements[key].digest] == key]
    kept = _without_near_duplicates(distinct, concepts, pairs)
    splits = assign_splits({key: (concepts[key], named[key].style) for key in kept})
    train = [key for key in kept if splits[key] == "train"]
    held_out = [key for key in kept if splits[key] != "train"]
    twins = {p.first for p in near_pairs(held_out, train, measurements, below=LOOKALIKE)}
    final = [key for key in kept if key not in twins]
    variants = {key: (named[key].style, concept_code(named[key].code) or key) for key in final}
    core = {variant: key for key, variant in reversed(variants.items())}
    return Selection(
        pictures=tuple(
            replace(
                named[key],
                concept=concepts[key],
                core=core[variants[key]] == key,
                split=splits[key],
            )
            for key in sorted(final)
        ),
        exact_duplicates=len(named) - len(distinct),
        near_duplicates=len(distinct) - len(kept),
        twins_of_train=len(twins),
        concepts_by_name=len(set(by_name.values())),
        concepts=len({concepts[key] for key in final}),
    )


def _pairs_within_styles(
    named: Mapping[str, Picture], measurements: Mapping[str, Measurement]
) -> list[Pair]:
    pairs: list[Pair] = []
    for style in STYLES:
        keys = [key for key, picture in named.items() if picture.style == style]
        pairs += near_pairs(keys, keys, measurements, below=LOOKALIKE)
    return pairs


def _without_near_duplicates(
    keys: Sequence[str], concepts: Mapping[str, str], pairs: Sequence[Pair]
) -> list[str]:
    """Drop what hardly differs from an earlier image of the same style and concept."""
    near: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.distance < NEAR_DUPLICATE and concepts[pair.first] == concepts[pair.second]:
            near.setdefault(pair.first, []).append(pair.second)
    kept: dict[str, None] = {}
    for key in keys:
        if not any(other in kept for other in near.get(key, ())):
            kept[key] = None
    return list(kept)


def _describe(drawing: Drawing, names: Mapping[str, Name], measured: Measurement) -> Picture:
    name = names.get(drawing.code)
    if name is None:
        title = SKIN_TONE.sub(r": \1 skin tone", drawing.name.replace("-", " "))
        unfiled = Name(label=title, group="other", subgroup="other", keywords=())
        name = replace(names.get(concept_code(drawing.code), unfiled), label=title)
    return Picture(
        key=drawing.key,
        style=drawing.style,
        code=drawing.code,
        concept="",
        title=name.label,
        group=name.group,
        subgroup=name.subgroup,
        keywords=name.keywords,
        captions=full_and_plain(
            key=drawing.key,
            style=drawing.style,
            label=name.label,
            keywords=name.keywords,
            colours=measured.colours,
        ),
        licence=LICENCES[drawing.style],
    )
