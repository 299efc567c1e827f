from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image
from safetensors import SafetensorError

from textok.cli.main import main
from textok.runtime.files import atomic_write, write_text


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


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_half(path: Path, raised: Exception) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise raised


@pytest.mark.parametrize(
    "raised",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError("I/O error: No space left on device (os error 28)"),
        OSError("encoder error -2 when writing image file"),
    ],
)
def test_what_the_disk_refuses_names_the_file(tmp_path: Path, raised: Exception) -> None:
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "a.png"))) as error:
        write_half(tmp_path / "a.png", raised)
    assert ".tmp" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_another_file_keeps_its_name(tmp_path: Path) -> None:
    absent = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "other")
    with pytest.raises(FileNotFoundError, match="'other'"):
        write_half(tmp_path / "a.png", absent)


def test_names_that_are_not_utf_8_are_written_out(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", json.dumps(["caf\udce9"], ensure_ascii=False))
    assert (tmp_path / "a.json").read_text("utf-8") == '["caf\\udce9"]'
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == ["caf\udce9"]


def test_a_full_disk_is_one_line_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    Image.new("RGB", (8, 8)).save(data / "a.png")
    monkeypatch.setattr(Path, "write_text", no_room)
    command = ["captions", "report", str(data), "--out", str(out)]
    assert main(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"textok: error: {out}/")
    assert line.endswith(": No space left on device; make room and run the same command again")
    assert list(out.iterdir()) == []
    monkeypatch.undo()
    assert main(command) == 0
    assert (out / "report.md").is_file()
