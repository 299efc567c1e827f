"""The readers of the benchmark give the same kind of batches, and its report says what was met."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import benchmarks.reading as reading
from benchmarks.reading import READERS, Settings, augment, draw_photo, write_images
from benchmarks.reading_report import Row, write_report

SMALL = Settings(images=8, size=16, batch=4, batches=1, workers=(0,), repeats=1)


def test_photos_are_the_same_in_every_run_and_about_110_kb() -> None:
    photo = draw_photo(3)
    assert photo == draw_photo(3) != draw_photo(4)
    assert 100_000 < len(photo) < 120_000


@pytest.mark.parametrize("name", READERS)
def test_every_reader_gives_varied_batches_in_the_same_range(name: str, tmp_path: Path) -> None:
    if "webdataset" in name and importlib.util.find_spec("webdataset") is None:
        pytest.skip("webdataset is not installed")
    assert 100_000 < write_images(tmp_path, SMALL.images) < 120_000
    batches = READERS[name](tmp_path, SMALL, 0)
    first, second = next(batches), next(batches)
    assert first.shape == (4, 3, 16, 16) and first.dtype == torch.float32
    assert -1 <= first.min() < -0.3 and 0.3 < first.max() <= 1
    assert not torch.equal(first, second)


def test_the_peers_augmentation_cuts_the_resized_picture() -> None:
    across = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (30, 1))  # 60 wide, 30 high
    starts = {round(float(augment(Image.fromarray(across), 30)[0, 15].min()), 2) for _ in range(40)}
    assert len(starts) > 5  # it is cut at other places
    assert min(starts) >= -1 and max(starts) <= 0


def test_ratios_are_of_the_same_turn_and_an_absent_peer_is_named(tmp_path: Path) -> None:
    turns = {
        "image folder, plain": [0.2, 0.4, 0.4],
        "tar shards, textok": [0.1, 0.1, 0.4],
    }
    rows = [Row(reader=n, workers=2, seconds=s, turns=turns) for n, s in turns.items()]
    write_report(rows, ["--repeats", "3"], tmp_path, about="8 files")
    text = (tmp_path / "reading.md").read_text()
    assert "| tar shards, textok | 2 | 10 | 2.00 (1.50 to 3.00) | absent |" in text
    assert "`python -m benchmarks.reading --repeats 3`, 3 turns" in text and "libjpeg" in text
    saved = json.loads((tmp_path / "reading.json").read_text())["rows"][1]
    assert saved["images_per_second"] == 10.0
    assert saved["ratios"] == {"image folder, plain": [2.0, 1.5, 3.0]}


def test_the_command_measures_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reading, "SHARDS", 2)
    words = "--images 4 --size 8 --batch 2 --batches 1 --workers 0 --repeats 2 --out"
    reading.main([*words.split(), str(tmp_path)])
    rows = json.loads((tmp_path / "reading.json").read_text())["rows"]
    assert {len(row["seconds"]) for row in rows} == {2} and len(rows) >= 3
    with pytest.raises(SystemExit, match="2"):
        reading.main(["--images", "0"])
    assert "images is 0: it must be >= 1" in capsys.readouterr().err
