"""Steps are run in order in one folder, what they say is kept, and own pictures are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.newcomer import OWN, SPLITS, own_pictures, run_steps, write_report
from textok.config import DataConfig
from textok.data import open_captioned_images


def test_steps_run_in_order_and_their_last_words_are_kept(tmp_path: Path) -> None:
    commands = ["printf 'a\\nb\\n\\nc\\n' | tee said", "cat said; sleep 0.2"]
    first, second = run_steps(commands, tmp_path, lines=2)
    assert (first.said, second.said) == (["b", "c"], ["b", "c"])
    assert second.seconds >= 0.2
    write_report({"Road": [first, second]}, ["--lines", "2"], tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "`python -m benchmarks.newcomer --lines 2`" in page
    assert f"| together | {first.seconds + second.seconds:.1f} |" in page


def test_a_step_that_fails_ends_the_road(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)cat nothing failed:.*No such file"):
        list(run_steps(["cat nothing", "touch after"], tmp_path, lines=1))
    assert not (tmp_path / "after").exists()


def test_own_pictures_are_a_set_with_captions(tmp_path: Path) -> None:
    own_pictures(tmp_path / "own")
    for split, count in SPLITS.items():
        config = DataConfig(path=str(tmp_path / "own"), split=split, workers=0)
        records = open_captioned_images(config, image_size=64).records
        assert len(records) == count and all(record.captions for record in records)
    assert sum(SPLITS.values()) == 200
    assert all(command.startswith("textok ") for command in OWN)
