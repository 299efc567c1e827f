"""Every command that writes, on a disk that is full at any of its writes, and again with room.

And where nothing may be written at all.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.full_disk import Disk, short_files
from textok.cli.main import main

ARCHIVE = Path(__file__).with_name("old_files") / "0.1.0.tar.xz"
HALF = (".tmp", ".writing-", ".retired-")
CPU = "--device cpu"
READ = f"data {CPU} --workers 0"
JUDGED = f"{READ} --feature-network efficientnet_lite0"
COMMANDS = {
    "reconstruct": f"reconstruct data/test/dog/00.png --model models/gan --tokens {CPU} "
    "--out OUT/a",
    "generate": f"generate dog --model models/dit-text --num-images 2 --separate --out OUT/a {CPU}",
    "extract": f"extract models/gan {READ} OUT/a --flip --text-cache OUT/cache",
    "compare": "evaluate compare reports/gan/report.json reports/vq/report.json --out OUT/a",
    "evaluate reconstruction": f"evaluate reconstruction models/gan {JUDGED} --out OUT/a "
    "--text-cache OUT/cache --pca --pca-cache OUT/pca",
    "evaluate generation": f"evaluate generation models/dit-text {JUDGED} --num-images 12 "
    "--out OUT/a --feature-cache OUT/features",
    "captions report": "captions report data --out OUT/a",
    "captions by-class": "captions by-class data OUT/captions.json",
    "check": "data check data --sheet OUT/sheet.png",
    "prepare": "data prepare data OUT/a --size 16 --workers 0",
    "to hf": "data export data OUT/a --to hf",
    "to webdataset": "data export data OUT/a --to webdataset",
    "to folder": "data export data OUT/a --to folder",
    "tokenizer": "train tokenizer recipes/gan.yaml --run.out OUT/a --text.cache OUT/cache",
    "generator": "train generator recipes/dit-text.yaml --run.out OUT/a --text.cache OUT/cache",
}
SLOW = ("tokenizer", "generator", "evaluate generation", "evaluate reconstruction", "extract")
"""Of which some writes are tried."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models, data, latents and reports."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


def names(folder: Path) -> list[str]:
    """Of what is there, but for the logs of TensorBoard, one a start, and names that are drawn."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    kept = (name for name in found if "tfevents" not in name)
    return sorted(re.sub(r"[0-9a-f]{32}", "drawn", name) for name in kept)


def words(command: str, out: Path) -> list[str]:
    return COMMANDS[command].replace("OUT", str(out)).split()


def check_refusal(line: str, out: Path) -> None:
    """One line that names a path under ``out`` as it is at the end, and nothing half written."""
    assert line.startswith("textok: error: "), line
    assert str(out) in line, line
    assert not any(part in line for part in HALF), line
    assert not [name for name in names(out) if any(part in name for part in HALF)]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_is_full_at_any_write(
    command: str, disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    whole.mkdir()
    out.mkdir()
    assert main(words(command, whole)) == 0
    for room in (0, 8, 200) if command in SLOW else range(200):
        with disk.full_after(room):
            code = main(words(command, out))
        error = capsys.readouterr().err
        if code == 0:
            break
        assert code == 2
        assert "Traceback" not in error
        check_refusal(error.splitlines()[-1], out)
    assert (code, disk.refused) == (0, 0)
    assert room > 0
    assert names(out) == names(whole)


@pytest.mark.parametrize("command", ["extract", "reconstruct", "to webdataset", "tokenizer"])
def test_a_disk_that_takes_a_part_of_a_file(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in (0, 200, 2_000):
        with short_files(size):
            code = main(words(command, tmp_path))
        assert code == 2, size
        error = capsys.readouterr().err
        assert "Traceback" not in error
        check_refusal(error.splitlines()[-1], tmp_path)
    assert main(words(command, tmp_path)) == 0


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder without the right to write; root, who has every right, is told of none there."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    access = os.access

    def told(path: str | Path, mode: int) -> bool:
        return access(path, mode) and not (Path(path) == folder and mode & os.W_OK)

    monkeypatch.setattr(os, "access", told)
    yield folder
    folder.chmod(0o700)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_permission_is_told_before_any_work(
    command: str,
    read_only: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*_: object, **__: object) -> None:
        pytest.fail("a network ran")

    monkeypatch.setattr(torch.nn.Module, "__call__", run)
    assert main(words(command, read_only)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"textok: error: {read_only}"), line
    assert line.endswith(f": no permission to write into {read_only}: name another folder")
    assert names(read_only) == []
