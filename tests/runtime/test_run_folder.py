from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from textok.config import OptimConfig, RunConfig, TrainGeneratorConfig, TrainTokenizerConfig
from textok.runtime.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.open(TrainTokenizerConfig())
    (folder.checkpoints / "step-00000001").mkdir()
    return folder


def test_the_first_setting_that_differs_is_named(folder: RunFolder) -> None:
    other = TrainTokenizerConfig(
        optim=OptimConfig(betas=(0.9, 0.95), clip=3.0), run=RunConfig(seed=1)
    )
    expected = r"run was started with optim.betas = \(0.9, 0.99\), not \(0.9, 0.95\): set it back"
    with pytest.raises(ValueError, match=expected):
        folder.check(other)


def test_a_setting_that_may_change_does_and_is_stored(folder: RunFolder) -> None:
    longer = TrainTokenizerConfig(run=RunConfig(steps=7, out="elsewhere"))
    folder.check(longer)
    folder.open(longer)
    assert "steps: 7" in folder.config.read_text()


def test_a_setting_that_an_older_run_did_not_have_counts_as_its_default(folder: RunFolder) -> None:
    lines = [line for line in folder.config.read_text().splitlines() if "qk_norm" not in line]
    folder.config.write_text("\n".join(lines))
    folder.check(TrainTokenizerConfig())


def test_a_run_of_another_command_is_told(folder: RunFolder) -> None:
    with pytest.raises(ValueError, match=r"run holds a run of another command.* has 'data'"):
        folder.check(TrainGeneratorConfig())


def test_without_a_checkpoint_there_is_nothing_to_protect(folder: RunFolder) -> None:
    (folder.checkpoints / "step-00000001").rmdir()
    folder.check(TrainTokenizerConfig(init="other"))


def test_opening_clears_what_a_killed_process_left(folder: RunFolder) -> None:
    (folder.checkpoints / ".writing-step-00000002").mkdir()
    (folder.root / ".writing-model").mkdir()
    folder.open(TrainTokenizerConfig())
    assert [p.name for p in folder.checkpoints.iterdir()] == ["step-00000001"]
    own = {"checkpoints", "sheets", "config.yaml", ".textok.json"}
    assert {p.name for p in folder.root.iterdir()} == own


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"run\.out .*file is a file: name a folder"):
        RunFolder(tmp_path / "file").open(replace(TrainTokenizerConfig()))
