from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from textok.runtime.png import read_png_note
from textok.runtime.sheet import save_picture


def test_a_note_survives_and_the_pixels_are_the_same(tmp_path: Path) -> None:
    picture, note = Image.radial_gradient("L"), {"prompt": "une pomme, 苹果", "seeds": [1, 2]}
    save_picture(picture, tmp_path / "a.png", note)
    assert read_png_note(tmp_path / "a.png") == note
    with Image.open(tmp_path / "a.png") as again:
        assert again.tobytes() == picture.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_files_without_a_note_say_what_they_are(tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 64))
    picture.save(tmp_path / "photo.jpg")
    save_picture(picture, tmp_path / "plain.png")
    save_picture(picture, tmp_path / "whole.png", {"prompt": "a" * 1000})
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:200])
    (tmp_path / "changed.png").write_bytes(whole.replace(b"aaaa", b"bbbb", 1))
    for name, text in {"word": "hello", "list": "[1]"}.items():
        info = PngInfo()
        info.add_text("textok", text)
        picture.save(tmp_path / f"{name}.png", pnginfo=info)
    for name, message in {
        "photo.jpg": "not a PNG file",
        "plain.png": "holds no note of textok",
        "cut.png": "damaged",
        "changed.png": "damaged",
        "word.png": "its note of textok is damaged",
        "list.png": "its note of textok is damaged",
    }.items():
        with pytest.raises(ValueError, match=f"{name}: {message}") as error:
            read_png_note(tmp_path / name)
        assert "\n" not in str(error.value)
