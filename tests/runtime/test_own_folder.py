"""Commands write into folders of their own, and into nobody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from textok.config import RunConfig, TrainTokenizerConfig
from textok.runtime.files import write_text
from textok.runtime.own_folder import MARKER, OwnFolder
from textok.runtime.run_folder import RunFolder


def own(path: Path, kind: str = "a run") -> OwnFolder:
    return OwnFolder(path=path, kind=kind, setting="run.out")


def test_a_new_or_empty_folder_is_taken_and_known_again(tmp_path: Path) -> None:
    for path in (tmp_path / "new" / "deep", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        own(path).claim()
        (path / "weights").write_text("x")
        own(path).claim()
        with pytest.raises(ValueError, match=r"holds a run, not latents: choose another"):
            own(path, "latents").check()


def test_another_folder_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    for name in ("model", "notes.md", "photos", "report.md"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=r"other files \(model, notes\.md, photos, \.\.\.\)"):
        own(tmp_path).claim()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "notes.md", "photos",
                                                           "report.md"]  # fmt: skip
    with pytest.raises(ValueError, match="is a file: name a folder"):
        own(tmp_path / "model").check()
    with pytest.raises(ValueError, match="cannot be a folder"):
        own(tmp_path / "model" / "deeper").claim()


def test_a_marker_that_says_nothing_is_none(tmp_path: Path) -> None:
    for text in ("", "[1]", "{", '{"kind": 7}'):
        write_text(tmp_path / MARKER, text)
        with pytest.raises(ValueError, match="choose another folder"):
            own(tmp_path).check()


def test_runs_of_before_the_marker_go_on_and_others_folders_do_not(tmp_path: Path) -> None:
    config = TrainTokenizerConfig(run=RunConfig(out=str(tmp_path)))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "theirs").write_text("x")
    (tmp_path / "report.md").write_text("theirs")
    with pytest.raises(ValueError, match=r"run\.out .* holds other files"):
        RunFolder(tmp_path).check(config)
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "checkpoints").mkdir()
    RunFolder(tmp_path).check(config)
    RunFolder(tmp_path).claim()
    assert (tmp_path / MARKER).is_file()


def test_an_empty_config_of_a_run_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    config = TrainTokenizerConfig()
    folder.open(config)
    (folder.checkpoints / "step-00000002").mkdir()
    for data in (b"", bytes(400)):
        folder.config.write_bytes(data)
        with pytest.raises(ValueError, match=r"config\.yaml is empty, as a power cut"):
            folder.check(config)
    folder.config.unlink()
    folder.check(config)


def test_files_follow_the_umask(tmp_path: Path) -> None:
    # Asked for once, when the package is imported.
    before = os.umask(0)
    os.umask(before)
    write_text(tmp_path / "x", "text")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o666 & ~before
