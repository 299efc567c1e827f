"""Texts of numbers beside images are boxes, classes and the like, and a year is a caption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder, write_tar
from textok.config import DataConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.number_texts import are_shapes, is_numeric

IMAGE = encoded(50)
YOLO = "0 0.5 0.25 0.2 0.1\n14 .5 1e-1 0.2 0.1\n"
TOLD = "texts are numbers alone, as boxes or classes are (no captions)"


def opened(path: Path, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), **options), image_size=8)


def captions(images: CaptionedImages) -> list[tuple[str, ...]]:
    return [record.captions for record in images.records]


@pytest.mark.parametrize(
    "text",
    [
        YOLO,
        "45 0.78 0.38 0.782 0.386 0.7 0.3 0.6 0.2",  # a polygon
        "3 0.5 0.5 0.2 0.2 0.97\r\n\r\n",  # and its score
        "10,20,30,40\n11,21,31,41",
        "[0.1, 0.2, 0.3, 0.4]",
        "(1, 2), (3, 4)",
        "Car 0.00 0 -1.57 614.24 181.78 727.31 284.77 1.57 1.73 4.15 1.00 1.75 13.22 1.62",  # KITTI
        "2753 2408 2861 2385 2888 2468 2805 2502 plane 0",  # DOTA
        "377,117,463,117,465,130,378,130,Genaxis Theatre",  # ICDAR
    ],
)
def test_shapes(text: str) -> None:
    assert are_shapes(text)


@pytest.mark.parametrize(
    "text",
    [
        "1984", "3 4", "2 0.97", "24.12.2021 18:30", "size 36 38 40 42", "1, 2, 3", "", " \n",
        "four 4 red 5 cats", "0 0.5 0.5 0.2 0.2\na red cat", "1:2:3:4", "+49 30 1234",
    ],
)  # fmt: skip
def test_no_shapes(text: str) -> None:
    assert not are_shapes(text)


def test_values_of_json() -> None:
    assert is_numeric(7) and is_numeric([[0, 0.5], [1, 2]])
    assert not any(map(is_numeric, ([], [[]], True, [1, "a"], {"a": 1}, None, "7")))


def as_folder(root: Path, texts: dict[str, str]) -> Path:
    names = {name.partition(".")[0] for name in texts}
    return write_folder(root, {**texts, **{f"{name}.png": IMAGE for name in names}})


def as_shard(root: Path, texts: dict[str, str]) -> Path:
    names = sorted({name.partition(".")[0] for name in texts})
    root.mkdir()
    members: list[tuple[str, bytes | str]] = [(f"{name}.png", IMAGE) for name in names]
    write_tar(root / "0.tar", members + list(texts.items()))
    return root


KINDS = pytest.mark.parametrize("made", [as_folder, as_shard])


@KINDS
@pytest.mark.parametrize("text", [YOLO, "7", "0.93", "3 0.93", "1\n2\n"])
def test_a_set_of_numbers_has_no_captions(tmp_path: Path, made: object, text: str) -> None:
    root = made(tmp_path / "set", {"a.txt": text, "b.txt": text, "c.txt": ""})  # type: ignore[operator]
    images = opened(root)
    assert captions(images) == [(), (), ()] and images.report.unread == []
    assert images.report.messages()[0] == f"3 images, 0 with captions; 2 {TOLD}"
    with pytest.raises(
        ValueError, match=r"none of 3 images has a caption.*2 texts are numbers"
    ) as e:
        images.require_captions()
    assert "\n" not in str(e.value) and "no file of captions" not in str(e.value)


@KINDS
def test_a_year_among_sentences_is_a_caption_and_a_box_is_none(
    tmp_path: Path, made: object
) -> None:
    texts = {"a.txt": "1984", "b.txt": "a red cat", "c.txt": YOLO, "d.txt": "seven"}
    images = opened(made(tmp_path / "set", texts))  # type: ignore[operator]
    assert captions(images) == [("1984",), ("a red cat",), (), ("seven",)]
    assert images.report.numeric == 1


@KINDS
def test_numbers_leave_the_caption_to_another_text(tmp_path: Path, made: object) -> None:
    texts = {"a.txt": "7", "a.caption": "a cat", "b.txt": YOLO, "b.json": '{"caption": "a dog"}'}
    images = opened(made(tmp_path / "set", texts))  # type: ignore[operator]
    assert captions(images) == [("a cat",), ("a dog",)] and images.report.numeric == 2


@KINDS
def test_json_of_numbers_is_none(tmp_path: Path, made: object) -> None:
    texts = {"a.json": "[[0, 0.5, 0.5, 0.1, 0.2]]", "b.json": '["a dog"]', "c.json": "[1984]"}
    images = opened(made(tmp_path / "set", texts))  # type: ignore[operator]
    assert captions(images) == [(), ("a dog",), ()] and images.report.numeric == 2


def test_a_table_keeps_its_captions_and_its_numbers(tmp_path: Path) -> None:
    files = {"metadata.csv": "file_name,caption\na.png,a cat\nb.png,7\n", "b.txt": YOLO}
    images = opened(
        write_folder(tmp_path, {**files, "a.txt": YOLO, "a.png": IMAGE, "b.png": IMAGE})
    )
    assert captions(images) == [("a cat",), ("7",)] and f"2 {TOLD}" in images.report.summary()


def test_folders_of_labels_are_counted_not_named(tmp_path: Path) -> None:
    files = {f"images/train/{n}.png": IMAGE for n in "ab"} | {"images/val/c.png": IMAGE}
    files |= {"labels/train/a.txt": YOLO, "labels/train/b.txt": "", "labels/val/c.txt": YOLO}
    write_folder(tmp_path, {**files, "data.yaml": "nc: 1", "notes.csv": "who,what\nx,y\n"})
    for split, count in (("train", 2), ("val", 1)):
        report = opened(tmp_path, split=split).report
        assert (report.numeric, report.unread) == (count, ["notes.csv"])


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"metadata.csv": "file_name,label\na.png,x\n"},
         "metadata.csv holds no captions: its columns are file_name, label; data.caption_columns "
         "names those of captions: lay NAME.txt"),
        ({"metadata.csv": "file_name,caption\na.png,\n"},
         "metadata.csv holds no captions: nothing in caption: lay NAME.txt"),
        ({"list.csv": "image,caption\na.png,nan\n"}, "list.csv holds no captions: nothing in "
         "caption; 1 captions say 'nan', 'None' or the like (taken as absent): lay NAME.txt"),
        ({"labels.json": '{"labels": [["a.png", 3]]}'},
         "labels.json holds no captions: its columns are file_name, label; data.caption_columns"),
        ({"a.txt": "\n"}, "1 texts are empty: lay NAME.txt"),
        ({"a.txt": "一只红色的猫".encode("gbk")}, "1 texts cannot be read: a.txt (is not UTF-8"),
        ({"a.json": '{"caption": {"x": 1}}'}, "not read as captions: a.json; name"),
        ({}, "no file of captions lies there: lay NAME.txt beside"),
    ],
)  # fmt: skip
def test_what_was_read_and_gave_no_caption_is_told(
    tmp_path: Path, files: dict[str, bytes | str], told: str
) -> None:
    report = opened(write_folder(tmp_path, {**files, "a.png": IMAGE})).report
    assert report.cure().startswith(told) and report.messages()[1] == report.cure()
    assert "no file of captions" not in report.cure() or not files


def test_fields_of_shards_without_captions_are_told(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [("a.png", IMAGE), ("a.json", json.dumps({"w": 1, "h": 2}))])
    told = "*.json holds no captions: its fields are w, h: lay NAME.txt"
    assert opened(tmp_path).report.cure().startswith(told)
