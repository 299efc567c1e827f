"""Rows of tables as programs and people write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder
from textok.config import DataConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.report import ReadReport
from textok.data.rows import read_rows
from textok.data.text_files import EncodingError, decode_text, read_text

IMAGE = encoded(50)


def opened(path: Path, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), **options), image_size=8)


def captions(images: CaptionedImages) -> dict[str, tuple[str, ...]]:
    return {record.key: record.captions for record in images.records}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a.png","a red cat, sitting"\n"b.png","a dog"\n', ("a red cat, sitting", "a dog")),
        ("a.png,a red cat, sitting\nb.png,a dog\n", ("a red cat, sitting", "a dog")),
        ("a.png,a red cat, sitting\nb.png,a dog, lying\n", ("a red cat, sitting", "a dog, lying")),
        ("a.png,a dog\nb.png,a bird, a tree, a sky\n", ("a dog", "a bird, a tree, a sky")),
        ("a.png, a red cat, sitting\nb.png, a dog\n", ("a red cat, sitting", "a dog")),
        ("a.png;a cat; sitting\nb.png;a dog, lying\n", ("a cat; sitting", "a dog, lying")),
        ("a.png,cat,a red cat\nb.png,dog,a dog, lying\n", ("a red cat", "a dog, lying")),
        ("a.png,0,a red cat, sitting\nb.png,0,a dog\n", ("a red cat, sitting", "a dog")),
        ("a.png|0|a cat\nb.png|0|a dog\nc.png|no number\n", ("a cat", "a dog")),
        ("a.png#0\ta cat, an image, a mat\nb.png#0\ta dog\n", ("a cat, an image, a mat", "a dog")),
        ("a.png,a cat,,\nb.png,a dog,,\n", ("a cat", "a dog")),
    ],
)
@pytest.mark.parametrize("name", ["list.txt", "captions.csv"])
def test_a_table_without_a_header(
    tmp_path: Path, name: str, text: str, expected: tuple[str, str]
) -> None:
    write_folder(tmp_path, {name: text, "a.png": IMAGE, "b.png": IMAGE})
    found = captions(opened(tmp_path, max_bad_share=0.5))
    assert found == {"a.png": expected[:1], "b.png": expected[1:]}


@pytest.mark.parametrize("text", ["a.png,3\nb.png,4\n", "a.png,a_mask.png\nb.png,b_mask.png\n"])
def test_numbers_and_other_images_are_no_captions(tmp_path: Path, text: str) -> None:
    images = opened(write_folder(tmp_path, {"t.csv": text, "a.png": IMAGE, "b.png": IMAGE}))
    assert captions(images) == {"a.png": (), "b.png": ()} and images.report.unread == ["t.csv"]


@pytest.mark.parametrize(
    "text",
    [
        'sep=;\r\nfile_name;caption\r\na.png;A "b", c\r\n',
        '\n \n# made, by, a tool\nfile_name,caption\na.png,"A ""b"", c"\n',
        '# captions, by a tool\nfile_name,caption\na.png,"A ""b"", c"\n',
        '# image,caption\na.png,"A ""b"", c"\n',
        'file_name, caption\na.png, "A ""b"", c"\n',
        'file_name,caption\na.png,"A \\"b\\", c"\n',
        'file_name, caption\na.png, "A \\"b\\", c"\n',
        'image;caption;size (w,h,d)\na.png;A "b", c;1,2,3\n',
        'file_name| caption\na.png| A "b", c\n',
    ],
)
@pytest.mark.parametrize("name", ["list.csv", "captions.csv"])
def test_ways_to_write_a_table(tmp_path: Path, name: str, text: str) -> None:
    write_folder(tmp_path, {name: text, "a.png": IMAGE})
    column = "# image" if "# image" in text else ""
    assert captions(opened(tmp_path, image_column=column)) == {"a.png": ('A "b", c',)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('"C:\\dir\\"', "C:\\dir\\"),
        (' "Hello" a man says', ' "Hello" a man says'),
        (' "Hello, he says', ' "Hello, he says'),
        ('a 5" screen', 'a 5" screen'),
        ('"one| two\n1| 2| 3 cats\n\n""end"""', 'one| two\n1| 2| 3 cats\n\n"end"'),
        ('"he said \\"hi\\"\nand \\"bye\\""', 'he said "hi"\nand "bye"'),
    ],
)
def test_quotes_and_backslashes_that_are_meant(tmp_path: Path, field: str, value: str) -> None:
    write_folder(tmp_path, {"t.csv": f"id|caption\n1|{field}\n2|x\n"})
    assert [row.fields["caption"] for row in read_rows(tmp_path / "t.csv")] == [value, "x"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('1,"a cat\n2,a dog\n3,a bird\n4,"x"\n', "line 2: .* takes the next rows"),
        ('0,x\n1,"a cat\n2,a dog\n3,a 5"\n', "line 3: .* takes the next rows"),
        ('n1,"a cat\nn2,a dog\nn3,x, y"\n', "line 2: .* takes the next rows"),
        ('cat,"a cat\ndog,"a dog"\n', "line 2: .* takes the next rows"),
        ('1,x\n2,"cut off', "line 3: .* is not closed"),
        ('1,x\n2,"cut\n3,off', "line 3: .* takes the next rows"),
    ],
)
def test_a_stray_quote_is_named(tmp_path: Path, rows: str, message: str) -> None:
    write_folder(tmp_path, {"t.csv": f"sep=,\nid,caption\n{rows}", "u.csv": f"id,caption\n{rows}"})
    with pytest.raises(ValueError, match=message):
        list(read_rows(tmp_path / "u.csv"))
    with pytest.raises(ValueError, match=r't\.csv line \d: a quote \("\) opens'):
        list(read_rows(tmp_path / "t.csv"))


def test_a_table_of_two_encodings_is_read_character_by_character(tmp_path: Path) -> None:
    text = "file_name,caption\na.png,“un café”, ".encode() + "un thé\nb.png,été\n".encode("cp1252")
    for mark in (b"", b"\xef\xbb\xbf"):
        write_folder(tmp_path, {"captions.csv": mark + text, "a.png": IMAGE, "b.png": IMAGE})
        images = opened(tmp_path)
        assert captions(images) == {"a.png": ("“un café”, un thé",), "b.png": ("été",)}
        assert images.report.recoded == {"captions.csv": "Windows-1252"}
    french = "CAFÉ\xa0! un petit thé"
    assert decode_text(french.encode("cp1252")) == (french, "cp1252")
    with pytest.raises(EncodingError, match="not UTF-8 in line 2"):
        decode_text("红色的猫\n".encode() + "一只红色的猫".encode("gbk"))


@pytest.mark.parametrize(
    ("start", "kind"), [(b"PAR1", "a parquet file"), (b"PK\x03\x04", "a workbook or an archive")]
)
def test_a_named_table_that_is_no_text(tmp_path: Path, start: bytes, kind: str) -> None:
    write_folder(tmp_path, {"t.parquet": start + bytes(range(256)), "a.png": IMAGE})
    with pytest.raises(ValueError, match=rf"t\.parquet is {kind}, no text: .*as CSV"):
        opened(tmp_path, table="t.parquet")


def test_a_pipe_is_no_text(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    report = ReadReport()
    assert read_text(tmp_path / "a.txt", encoding="", name="a.txt", report=report) == ""
    assert "a pipe, where a file is needed" in report.undecodable["a.txt"]
