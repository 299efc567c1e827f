"""One generator of classes, drawn from three times: what the decoder reads differs, no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studies.by_class import BUDGETS, steps_of, write_tables


@pytest.mark.parametrize("name", BUDGETS)
def test_steps(name: str, read) -> None:
    steps = steps_of(BUDGETS[name], Path("tokenizer"), Path("data"), Path("runs"))
    (_, extract), (_, train), *judged = map(read, steps)

    assert (extract.tokenizer, extract.data.where) == ("tokenizer", "style!=openmoji")
    assert train.generator.condition == "class"
    assert (train.latents.path, str(extract.out)) == ("runs/latents", "runs/latents")
    alike = set()
    for (command, asked), captions in zip(judged, ("held_out", "class_name", "none"), strict=True):
        assert command == "evaluate generation"
        assert asked.decoder_captions == captions
        assert asked.out == Path("runs/test") / captions
        alike.add(replace(asked, decoder_captions="none", out=Path()))
    assert len(alike) == 1
    assert (asked.model, asked.data.split) == ("runs/generator/model", "test")


def test_a_row_for_each_kind_of_caption(report, tmp_path: Path) -> None:
    found = {"held_out": report(90, retrieval=None), "none": report(100, retrieval=None)}
    write_tables(found, "python -m studies.by_class", tmp_path)
    text = (tmp_path / "comparison.md").read_text()
    assert "| a caption of the class, not seen in training | 90.00 | 0.500 | 0.125 |" in text
    assert "| nothing | 100.00 | 0.500 | 0.125 |" in text
