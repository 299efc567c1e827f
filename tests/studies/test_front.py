"""The first picture of the README is of held-out pictures of the sample."""

from __future__ import annotations

import json

from studies.front import NAMES
from textok.demo.samples import SAMPLE


def test_its_pictures_are_held_out() -> None:
    rows = {
        split: [json.loads(line) for line in (SAMPLE / split / "metadata.jsonl").open()]
        for split in ("train", "val", "test")
    }
    assert set(NAMES) <= {row["key"] for row in rows["test"]}
    concepts = {row["concept"] for row in rows["test"] if row["key"] in NAMES}
    assert not concepts & {row["concept"] for row in rows["train"] + rows["val"]}
