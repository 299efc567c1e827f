from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from textok.data import Record
from textok.evaluate.captions import captions_by_key, derange, usable_modes


def record(key: str, *captions: str) -> Record:
    return Record(key=key, captions=captions, label=None, file=Path(key))


RECORDS = [record("a", "one", "uno"), record("b", "two"), record("c"), record("d", "four", "tres")]


def test_modes_give_each_record_its_caption() -> None:
    assert captions_by_key("true", RECORDS) == {"a": "one", "b": "two", "c": "", "d": "four"}
    assert captions_by_key("plain", RECORDS) == {"a": "uno", "b": "two", "c": "", "d": "tres"}
    assert set(captions_by_key("absent", RECORDS).values()) == {""}


def test_shuffled_gives_every_caption_to_another_record() -> None:
    true, shuffled = captions_by_key("true", RECORDS), captions_by_key("shuffled", RECORDS)

    assert sorted(shuffled.values()) == sorted(true.values())
    assert all(shuffled[key] != true[key] for key in true)


@pytest.mark.parametrize("seed", range(5))
def test_equal_wordings_do_not_meet(seed: int) -> None:
    captions = ["cat"] * 7 + ["dog"] * 4 + ["owl"] * 3
    given = derange(captions, seed=seed)

    assert Counter(given) == Counter(captions)
    assert all(one != other for one, other in zip(captions, given, strict=True))


def test_derangement_is_fixed_by_its_seed() -> None:
    captions = [str(number) for number in range(50)]

    assert derange(captions) == derange(captions)
    assert derange(captions) != derange(captions, seed=1)


def test_modes_that_the_data_lack_are_left_out() -> None:
    every = ["true", "plain", "absent", "shuffled"]

    assert usable_modes(every, RECORDS) == every
    assert usable_modes(["absent", "true", "absent"], RECORDS) == ["absent", "true"]
    assert usable_modes(every, RECORDS[1:3]) == ["true", "absent", "shuffled"]
    assert usable_modes(every, RECORDS[2:3]) == ["absent"]
