from __future__ import annotations

import pytest

from textok.datasets.pictograms.concepts import (
    concept_code,
    concept_label,
    join_by_name,
    merge_lookalikes,
    variant_rank,
)
from textok.datasets.pictograms.sources import plain_code
from textok.datasets.pictograms.twins import Pair


@pytest.mark.parametrize(
    ("code", "concept"),
    [
        ("1f600", "1f600"),
        ("1f44b-1f3fd", "1f44b"),
        ("1f469-1f3ff-200d-1f692", "1f9d1-1f692"),
        ("1f468-200d-1f692", "1f9d1-1f692"),
        ("1f6b6-200d-2640-200d-27a1", "1f6b6"),
        ("1f468", "1f468"),
        ("27a1", "27a1"),
        ("2642", "2642"),
        ("1f3fb", "1f3fb"),
    ],
)
def test_concept_code(code: str, concept: str) -> None:
    assert concept_code(code) == concept


@pytest.mark.parametrize(
    ("label", "normal"),
    [
        ("waving hand: medium-light skin tone", "waving hand"),
        ("woman firefighter", "firefighter"),
        ("person walking facing right", "walking"),
        ("right arrow", "right arrow"),
        ("man", "man"),
        ("flag: Côte d’Ivoire", "flag côte divoire"),
        ("keycap: 5", "keycap 5"),
    ],
)
def test_concept_label(label: str, normal: str) -> None:
    assert concept_label(label) == normal


def test_plain_code() -> None:
    assert plain_code("0023-FE0F-20E3") == "23-20e3"
    assert plain_code("1F3F4-E0067_E0062-E007F") == "1f3f4-e0067-e0062"


def test_pictures_join_by_code_and_by_label() -> None:
    concepts = join_by_name(
        {
            "a": ("1facf", "donkey"),
            "b": ("e001", "Donkey"),
            "c": ("", "donkey"),
            "d": ("1facf", "ass"),
            "e": ("", "mule"),
        }
    )
    assert concepts == {"a": "1facf", "b": "1facf", "c": "1facf", "d": "1facf", "e": "name:mule"}


def test_lookalikes_join_a_leader_and_make_no_chains() -> None:
    concepts = {"a1": "a", "b1": "b", "c1": "c", "d1": "d"}
    pairs = [
        Pair(first="b1", second="a1", distance=2.0),
        Pair(first="c1", second="b1", distance=1.0),
        Pair(first="d1", second="a1", distance=3.0),
        Pair(first="d1", second="c1", distance=2.5),
    ]
    merged = merge_lookalikes(concepts, pairs)
    assert merged == {"a1": "a", "b1": "a", "c1": "c", "d1": "c"}


def test_variants_without_tone_and_gender_come_first() -> None:
    codes = ["1f44b-1f3fb", "1f468-200d-1f692", "1f44b", "1f9d1-200d-1f692", "1f44b-200d-2640"]
    ranked = sorted(codes, key=variant_rank)
    assert ranked == [
        "1f44b",
        "1f9d1-200d-1f692",
        "1f468-200d-1f692",
        "1f44b-200d-2640",
        "1f44b-1f3fb",
    ]
