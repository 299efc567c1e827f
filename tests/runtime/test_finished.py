"""A run is finished when its report and its model are those of its last step."""

from __future__ import annotations

from pathlib import Path

import pytest

from textok.runtime.finished import NOTE, finish_run, is_finished, reopen_run
from textok.runtime.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    (folder.model / "text_encoder").mkdir(parents=True)
    (folder.model / "model.safetensors").write_bytes(b"weights")
    (folder.model / "text_encoder" / "config.json").write_text("{}")
    folder.report.write_text("| | step 1 | step 20 |\n")
    finish_run(folder, step=20)
    return folder


def test_of_that_step_and_no_later_one(run: RunFolder) -> None:
    assert is_finished(run, step=20) and is_finished(run, step=10)
    assert not is_finished(run, step=21)
    reopen_run(run)
    reopen_run(run)
    assert not (run.root / NOTE).exists()


def test_a_run_that_was_told_to_end_where_it_had_been(run: RunFolder) -> None:
    (run.checkpoints / "step-00000030").mkdir(parents=True)
    finish_run(run, step=20)
    assert is_finished(run, step=30) and not is_finished(run, step=31)


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: (run.model / "model.safetensors").write_bytes(b"weight"),
        lambda run: (run.model / "model.safetensors").unlink(),
        lambda run: (run.model / "text_encoder" / "config.json").unlink(),
        lambda run: (run.model / "more").write_text("x"),
        lambda run: run.report.write_text("| | step 1 | step 10 |\n"),
        lambda run: run.report.unlink(),
        lambda run: (run.root / NOTE).write_text("{"),
        lambda run: (run.root / NOTE).write_text("[]"),
    ],
)
def test_anything_missing_or_changed_is_noticed(run: RunFolder, damage: object) -> None:
    assert callable(damage)
    damage(run)
    assert not is_finished(run, step=20)


def test_without_a_note_the_report_tells(run: RunFolder) -> None:
    (run.root / NOTE).unlink()
    assert is_finished(run, step=20)
    assert not is_finished(run, step=30)
    (run.model / "model.safetensors").unlink()
    (run.model / "text_encoder" / "config.json").unlink()
    (run.model / "text_encoder").rmdir()
    assert not is_finished(run, step=20)
