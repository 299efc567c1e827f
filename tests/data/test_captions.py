"""Captions of a file of their own instead of those beside the images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from textok.config import DataConfig
from textok.data import CaptionedImages, open_captioned_images


def opened(data: Path, captions: Path, split: str = "train") -> CaptionedImages:
    config = DataConfig(path=str(data), captions=str(captions), split=split)
    return open_captioned_images(config, image_size=8)


def write_lines(path: Path, *lines: object, end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, lines)) + end)
    return path


def test_they_replace_those_beside_the_images(numbered: Path, tmp_path: Path) -> None:
    first = {"key": "00.png", "captions": ["zero"], "model": "m"}
    lines = [first, {"key": "01.png", "failures": [{"kind": "empty", "reason": ""}]}]
    again = {"key": "00.png", "captions": ["nought"]}
    write_lines(tmp_path / "c" / "captions-0-of-2.jsonl", *lines)
    write_lines(tmp_path / "c" / "captions-1-of-2.jsonl", again, {"key": "02.png"}, end="\n{")
    images = opened(numbered, tmp_path / "c")
    captions = {record.key: record.captions for record in images.records}
    assert captions["00.png"] == ("zero", "nought")
    assert set(captions.values()) == {("zero", "nought"), ()}
    assert images.report.without_caption == 19
    one = opened(numbered, tmp_path / "c" / "captions-1-of-2.jsonl")
    assert one.records[0].captions == ("nought",)


def test_a_split_has_its_folder(numbered: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "c" / "val" / "captions.jsonl", {"key": "00.png", "captions": ["v"]})
    assert opened(numbered, tmp_path / "c", split="val").records[0].captions == ("v",)
    with pytest.raises(ValueError, match=r"data\.captions .*: no file of `textok caption`"):
        opened(numbered, tmp_path / "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"key": "else.png", "captions": ["x"]}\n', "captions of 1 keys, none of which is in"),
        ("[]\n", "line 1: no JSON object with a key"),
        ('{"key": "00.png"}\n{"key": 3}\n', "line 2: no JSON object with a key"),
        ("\xff\n", "line 1: no JSON"),
        ("", "captions of 0 keys"),
    ],
)
def test_what_does_not_fit_is_refused(
    text: str, message: str, numbered: Path, tmp_path: Path
) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message) as error:
        opened(numbered, file)
    assert "\n" not in str(error.value)
