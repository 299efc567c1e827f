"""Inputs that once crashed, hung or were told badly, each with what is told of it now."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fuzz.readers import READERS
from tests.fuzz.test_readers import Made, judged, made

__all__ = ["made"]
CORPUS = Path(__file__).parent / "corpus"
EXPECTED: dict[str, Any] = yaml.safe_load((CORPUS / "expected.yaml").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_corpus(name: str, made: Made) -> None:
    expected = EXPECTED[name]
    root, file = made(expected["reader"]), expected["file"]
    whole = (root / file).read_bytes()
    (root / file).write_bytes((CORPUS / name).read_bytes())
    try:
        line = judged(READERS[expected["reader"]], root, file)
    finally:
        (root / file).write_bytes(whole)
    assert bool(line) == bool(expected["told"]), line
    assert re.search(expected["told"], line), line


def test_every_input_is_replayed_and_all_are_small() -> None:
    files = {path.name: path.stat().st_size for path in CORPUS.iterdir()}
    assert files.keys() == {*EXPECTED, "expected.yaml"}
    assert sum(files.values()) < 50_000
