"""What `textok data check` says of a set before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.data.conftest import encoded, noise, write_folder
from textok.cli.main import main


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files: dict[str, bytes | str] = {
        "Train/cat/a.png": encoded(10), "Train/cat/a.txt": "one\ntwo",
        "Train/dog/b.png": encoded(20), "Train/dog/c.heic": b"x",
        "Val/cat/d.png": encoded(30), "Val/cat/d.txt": "None",
        "notes.csv": "who,what\nx,y\n",
    }  # fmt: skip
    return write_folder(tmp_path / "photos", files)


def test_json_has_counts_and_reasons(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(photos), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert {name: found[name] for name in list(found)[:6]} == {
        "images": 3,
        "with_captions": 1,
        "captions": 2,
        "classes": 2,
        "splits": {"train": 2, "val": 1},
        "left_out": {".heic files": 1},
    }
    first, val, cure = found["messages"]
    assert first.startswith("train: 2 images, 1 with captions (2 in all); 2 classes; 1 .heic")
    assert val.startswith("val: 1 images, 0 with captions; 1 classes; 1 captions say 'nan'")
    assert "not read as captions: notes.csv" in cure


def test_a_sheet_shows_pictures_with_their_captions(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(photos), "--split", "train"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "data-check.png"
    with Image.open("data-check.png") as sheet:
        assert sheet.width > 2 * 128 and sheet.height > 2 * 128
        pixels = sheet.convert("RGB")
        colours = {pixels.getpixel((20, y)) for y in range(sheet.height)}
        assert {(10, 10, 10), (20, 20, 20)} <= colours
    assert main(["data", "check", str(photos), "--split", "train"]) == 0  # its own is replaced
    Path("data-check.png").write_bytes(encoded(5))
    assert main(["data", "check", str(photos)]) == 2
    assert "data-check.png is there already and was not written by" in capsys.readouterr().err
    assert Path("data-check.png").read_bytes() == encoded(5)


def test_every_image_is_decoded_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"a.png": encoded(1), "b.png": noise()[:500], "c.png": encoded(3), "c.txt": "x"}
    data = str(write_folder(tmp_path / "set", files))
    words = ["data", "check", data, "--json", "--sheet", "null", "--every"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["left_out"] == {"unreadable": 1}
    assert any("a training would stop: 1 of 3 images" in line for line in found["messages"])


def test_what_cannot_be_read_at_all_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(tmp_path), "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("textok: error: ") and err.count("\n") == 1


def test_a_command_says_once_what_it_reads(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(photos)
    words = [
        "captions",
        "report",
        data,
        "--out",
        str(tmp_path / "report"),
        "--text-encoder",
        "minilm",
    ]
    assert main(words) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "data" in line]
    assert lines == [
        f"textok: data {data} (train): 2 images, 1 with captions (2 in all); 2 classes; 1 .heic "
        "files left out (pillow-heif reads them)"
    ]


def test_a_tokenizer_that_reads_text_wants_captions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_folder(tmp_path / "bare", {"a.png": encoded(1), "list.txt": "one"})
    words = ["train", "tokenizer", "tiny-64", "--data.path", str(data)]
    words += ["--run.out", str(tmp_path / "run"), "--run.steps", "1", "--data.workers", "0"]
    assert main(words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "none of 1 images has a caption" in error and "list.txt" in error
    assert "data.allow_uncaptioned" in error and not (tmp_path / "run").exists()
