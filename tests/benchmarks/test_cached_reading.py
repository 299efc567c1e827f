"""The ways of the benchmark give the same batches, and its report says what was met."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.cached_reading import Settings, main, open_images
from benchmarks.cached_report import Filled, Row, write_report


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for level in range(9):
        Image.fromarray(np.full((16, 16, 3), 20 * level, np.uint8)).save(folder / f"{level}.png")
    return folder


def test_pictures_are_spread_over_the_set(pictures: Path) -> None:
    images = open_images(str(pictures), Settings(images=3))
    assert [record.key for record in images.records] == ["0.png", "3.png", "6.png"]
    assert len(open_images(str(pictures), Settings(images=100))) == 9


def test_every_way_is_timed_and_compared(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = "--images 8 --size 8 --batch 4 --batches 1 --workers 0 --repeats 2"
    main([*words.split(), "--data", str(pictures), "--out", str(out)])
    report = json.loads((out / "cached.json").read_text())
    ways = {row["way"]: row for row in report["rows"]}
    assert list(ways) == ["files, 0 workers", "cache in ram", "cache in device"]
    assert ways["files, 0 workers"]["ratios"] == {"files, 0 workers": [1.0, 1.0, 1.0]}
    assert all(len(row["seconds"]) == 2 and min(row["seconds"]) > 0 for row in ways.values())
    assert [cache["bytes"] for cache in report["caches"]] == [8 * 8 * 8 * 3] * 2


def test_ratios_are_of_the_same_turn(tmp_path: Path) -> None:
    turns = {"files, 2 workers": [0.2, 0.4, 0.4], "cache in ram": [0.1, 0.1, 0.4]}
    rows = [
        Row(way=n, seconds=s, turns=turns, peers=["files, 2 workers"]) for n, s in turns.items()
    ]
    filled = [Filled(kind="ram", seconds=2.0, images=5000, bytes=61_440_000)]
    write_report(rows, filled, ["--repeats", "3"], tmp_path, about="8 pictures")
    text = (tmp_path / "cached.md").read_text()
    assert "| cache in ram | 10 | 2.00 (1.50 to 3.00) |" in text
    assert "ram: 61.4 MB, filled in 2.0 s (2,500 pictures/s)" in text


def test_data_that_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    told = capsys.readouterr().err
    assert re.match(r"cached_reading: error: data\.path .* does not exist", told)
    assert not (tmp_path / "out").exists()
