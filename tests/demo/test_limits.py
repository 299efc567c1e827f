"""What the page takes: every kind of picture that is one, and one line for what is none."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from textok.demo import limits
from textok.demo.limits import (
    checked_choice,
    checked_list,
    checked_number,
    checked_text,
    checked_whole,
    read_picture,
)

RED = Image.new("RGB", (40, 30), "red")


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    data = BytesIO()
    picture.save(data, form, **options)
    return data.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is this large, with no pixels inside."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def written(data: bytes) -> Path:
        (tmp_path / "upload").write_bytes(data)
        return tmp_path / "upload"

    return written


@pytest.mark.parametrize(
    ("data", "pixel"),
    [
        (encoded(RED, "PNG"), (255, 0, 0)),
        (encoded(RED.convert("CMYK"), "JPEG", quality=100), (255, 0, 0)),
        (encoded(Image.new("RGBA", (40, 30), (255, 0, 0, 0)), "PNG"), (255, 255, 255)),
        (encoded(Image.new("LA", (40, 30), (0, 127)), "PNG"), (128, 128, 128)),
        (encoded(RED.convert("P"), "GIF"), (255, 0, 0)),
        (encoded(Image.new("1", (40, 30), 1), "TIFF"), (255, 255, 255)),
        (
            encoded(Image.fromarray(np.full((30, 40), 32896, np.uint16)), "PNG"),
            (128, 128, 128),  # 32896 = 128 x 257
        ),
        (encoded(RED, "WEBP", lossless=True), (255, 0, 0)),
        (encoded(RED, "BMP"), (255, 0, 0)),
    ],
    ids="rgb cmyk alpha grey-alpha palette bit 16-bit webp bmp".split(),
)
def test_unusual_pictures_simply_work(
    file: Callable[[bytes], Path], data: bytes, pixel: tuple[int, int, int]
) -> None:
    picture, remark = read_picture(file(data), size=16)
    assert (picture.mode, picture.size, remark) == ("RGB", (40, 30), "")
    assert np.abs(np.subtract(picture.getpixel((20, 15)), pixel)).max() <= 2


def test_of_an_animation_the_first_picture_is_taken(file: Callable[[bytes], Path]) -> None:
    blue = Image.new("RGB", (40, 30), "blue")
    for form in ("GIF", "PNG", "WEBP"):
        data = encoded(RED, form, save_all=True, append_images=[blue] * 3, duration=100)
        picture, remark = read_picture(file(data), size=16)
        assert picture.getpixel((20, 15))[0] > 240
        assert remark == "an animation: its first picture is taken"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"cannot be read \(0 bytes\)"),
        (b"hello", r"cannot be read \(not one of PNG, JPEG, WEBP, GIF, BMP, TIFF\)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not one of PNG"),
        (encoded(RED, "PNG")[:-30], "cannot be read"),
        (encoded(RED, "JPEG")[:200], "cannot be read"),
        (b"\x89PNG\r\n\x1a\n" + os.urandom(99), "cannot be read"),
        (png_of(40_000, 40_000), r"cannot be read \(over 25,000,000 pixels\)"),
        (png_of(5_001, 5_000), r"\(5001 x 5000 pixels, at most 25,000,000 are taken\)"),
    ],
    ids="empty text svg cut-png cut-jpeg noise bomb huge".split(),
)
def test_what_is_no_picture_is_one_line(
    file: Callable[[bytes], Path], data: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_picture(file(data), size=16)
    assert "\n" not in str(error.value)


def test_a_large_jpeg_is_decoded_at_a_fraction(file: Callable[[bytes], Path]) -> None:
    data = encoded(Image.new("L", (6000, 5000), 99), "JPEG")
    picture, _ = read_picture(file(data), size=16)
    assert picture.size == (750, 625)


def test_a_large_file_is_not_read(
    file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(b"")
    with path.open("wb") as stream:
        stream.truncate(limits.UPLOAD_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="the file has 20 MB: at most 20 MB are taken"):
        read_picture(path, size=16)
    path.unlink()
    with pytest.raises(ValueError, match="not kept any longer: upload it again"):
        read_picture(path, size=16)


def test_texts() -> None:
    assert checked_text("  a cat \n", "prompt") == "a cat"
    assert checked_text(None, "prompt") == ""
    assert checked_text("x" * 1000, "prompt") == "x" * 1000
    with pytest.raises(ValueError, match="the prompt has 10,000 characters: at most 1,000 are"):
        checked_text("x" * 10_000, "prompt")
    for other in (3, ["a"], {"path": "a"}):
        with pytest.raises(ValueError, match="the prompt is no text"):
            checked_text(other, "prompt")


@pytest.mark.parametrize(
    "value", [None, "3", True, float("nan"), float("inf"), [3], {}, 0, 11, -1e9]
)
def test_numbers_that_are_none(value: object) -> None:
    with pytest.raises(ValueError, match="steps"):
        checked_number(value, "steps", 1, 10)
    with pytest.raises(ValueError, match="steps"):
        checked_whole(value, "steps", 1, 10)


def test_numbers() -> None:
    assert checked_number(1.5, "guidance", 1, 10) == 1.5
    assert checked_whole(10.0, "steps", 1, 10) == 10
    with pytest.raises(ValueError, match=r"steps is 1.5: it must be a whole number"):
        checked_whole(1.5, "steps", 1, 10)


def test_lists_and_choices() -> None:
    assert checked_list("1, 2.5 4", "guidance", 0, 20) == [1, 2.5, 4]
    for text, message in {
        "": "give 1 to 5 numbers",
        "1 2 3 4 5 6": "give 1 to 5 numbers",
        "1, x": "'1 x' is no list of numbers",
        "1, 21": "guidance is 21.0: it must be >= 0 and <= 20",
        "nan": "guidance: give a number from 0 to 20",
    }.items():
        with pytest.raises(ValueError, match=message):
            checked_list(text, "guidance", 0, 20)
    assert checked_choice("b", "sampler", ["a", "b"]) == "b"
    with pytest.raises(ValueError, match="sampler 'c' is unknown: use one of a, b"):
        checked_choice("c", "sampler", ["a", "b"])
