from __future__ import annotations

import os
from pathlib import Path

import pytest

from textok.runtime.files import atomic_write


@pytest.mark.parametrize("shared", [False, True])
def test_a_file_appears_when_it_is_whole(tmp_path: Path, shared: bool) -> None:
    path = tmp_path / "table.csv"
    with atomic_write(path, shared=shared, flush=True) as temporary:
        assert temporary.name == (f".table.csv.{os.getpid()}.tmp" if shared else ".table.csv.tmp")
        temporary.write_text("whole")
        assert not path.exists()
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "whole"


def test_a_block_that_raises_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"


def test_a_folder_that_is_a_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), atomic_write(tmp_path / "file" / "x") as temporary:
        temporary.write_text("x")
