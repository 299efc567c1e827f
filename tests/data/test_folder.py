from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder
from textok.config import DataConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images

IMAGE = encoded(50)


def opened(path: Path, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), **options), image_size=8)


def captions(images: CaptionedImages) -> dict[str, tuple[str, ...]]:
    return {record.key: record.captions for record in images.records}


def test_sidecars_one_caption_a_line_missing_and_empty_ones_counted(tmp_path: Path) -> None:
    files = {
        "a.png": IMAGE,
        "a.txt": "\ufeffa red cat\n\n  a cat \n",
        "b.JPG": IMAGE,
        "c.webp": IMAGE,
        "c.txt": " \n",
        "notes.txt": "of no image",
        ".hidden.png": IMAGE,
        ".thumbs/d.png": IMAGE,
    }
    images = opened(write_folder(tmp_path, files))
    assert captions(images) == {"a.png": ("a red cat", "a cat"), "b.JPG": (), "c.webp": ()}
    assert images.classes == [] and images.report.without_caption == 2
    assert images.report.summary() == "3 images; 2 without a caption"


def test_sub_folders_are_classes_and_may_have_sidecars(tmp_path: Path) -> None:
    files = {"dog/1.png": IMAGE, "dog/1.txt": "a dog", "cat/x/2.png": IMAGE}
    images = opened(write_folder(tmp_path, files))
    assert [(r.key, r.label, r.captions) for r in images.records] == [
        ("cat/x/2.png", "cat", ()),
        ("dog/1.png", "dog", ("a dog",)),
    ]
    assert images.classes == ["cat", "dog"]
    assert [images.number(record) for record in images.records] == [0, 1]
    write_folder(tmp_path, {"3.png": IMAGE})
    assert opened(tmp_path).classes == []


def test_metadata_jsonl(tmp_path: Path) -> None:
    rows = [
        {"file_name": "sub/b.png", "text": "bee", "label": 10},
        {"file_name": "a.png", "captions": ["one", "", "two"], "label": 9, "key": "A"},
        {"file_name": "c.png", "caption": None},
        {"file_name": "a.png", "captions": "three"},
    ]
    table = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    names = ("sub/b.png", "a.png", "c.png", "unlisted.png")
    images = opened(
        write_folder(tmp_path, {"metadata.jsonl": table, **dict.fromkeys(names, IMAGE)})
    )
    assert captions(images) == {"sub/b.png": ("bee",), "A": ("one", "two", "three"), "c.png": ()}
    assert images.classes == ["9", "10"]  # as numbers
    assert [images.number(record) for record in images.records] == [1, 0, -1]
    assert images.report.unlisted == 1 and images.report.without_caption == 1


@pytest.mark.parametrize("table", ["captions.csv", "metadata.csv"])
def test_csv_rows_of_one_file_are_its_captions(tmp_path: Path, table: str) -> None:
    text = 'file_name,caption\na.png,"red, round"\nb.png,\na.png,apple\n'
    images = opened(write_folder(tmp_path, {table: text, "a.png": IMAGE, "b.png": IMAGE}))
    assert captions(images) == {"a.png": ("red, round", "apple"), "b.png": ()}


def test_the_split_is_a_sub_folder_where_there_is_one(tmp_path: Path) -> None:
    write_folder(tmp_path / "plain", {"a.png": IMAGE})
    write_folder(tmp_path / "split", {"train/a.png": IMAGE, "test/b.png": IMAGE})
    assert captions(opened(tmp_path / "plain", split="val")) == {"a.png": ()}
    assert captions(opened(tmp_path / "split", split="test")) == {"b.png": ()}
    with pytest.raises(ValueError, match=r"no sub-folder 'val'; data.split can be train, test"):
        opened(tmp_path / "split", split="val")


def test_rows_without_their_file_count_as_bad_files(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(4)]
    table = "file_name,caption\n" + "".join(f"{name},x\n" for name in names)
    write_folder(tmp_path, {"captions.csv": table, **dict.fromkeys(names[:3], IMAGE)})
    images = opened(tmp_path, max_bad_share=0.25)
    assert images.report.missing == {"3.png": "captions.csv line 5"} and len(images) == 3
    with pytest.raises(BadFilesError, match=r"1 of 4 images .* 3\.png \(captions\.csv line 5\)"):
        opened(tmp_path, max_bad_share=0.24)


def test_of_equal_keys_the_first_holds(tmp_path: Path) -> None:
    table = '{"file_name": "a.png", "key": "k"}\n{"file_name": "b.png", "key": "k"}\n'
    images = opened(
        write_folder(tmp_path, {"metadata.jsonl": table, "a.png": IMAGE, "b.png": IMAGE})
    )
    assert [record.file.name for record in images.records] == ["a.png"]
    assert images.report.summary() == "1 images; 1 without a caption; 1 duplicate keys: k"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no images, no .tar shards"),
        ({"a.txt": "no image"}, "has no images, no .tar shards"),
        ({"captions.csv": "", "metadata.jsonl": ""}, "metadata.jsonl and captions.csv; keep one"),
        ({"0.tar": "", "captions.csv": ""}, "0.tar and captions.csv; keep one"),
        ({"sub/metadata.jsonl": "", "sub/a.png": IMAGE}, "sub/metadata.jsonl has no rows"),
        ({"metadata.jsonl": "{}"}, "metadata.jsonl line 1: no file_name"),
        ({"metadata.jsonl": '\n{"file_name": '}, "metadata.jsonl line 2: no JSON"),
        ({"metadata.jsonl": "[1]"}, "metadata.jsonl line 1: a JSON object is needed"),
        ({"captions.csv": "who,caption\na.png,x\n"}, "line 2: no file_name.* who, caption, by ','"),
        ({"captions.csv": b"file_name\n" + 4 * b"\xff" + b"\n"}, "captions.csv is not UTF-8"),
        ({"metadata.jsonl": ""}, "no image that can be read"),
    ],
)
def test_what_is_ambiguous_or_empty_is_refused(
    tmp_path: Path, files: dict[str, bytes | str], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        opened(write_folder(tmp_path, files))
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_paths_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        opened(tmp_path / "nowhere")
    write_folder(tmp_path, {"a.png": IMAGE})
    with pytest.raises(ValueError, match="is a file"):
        opened(tmp_path / "a.png")
    with pytest.raises(ValueError, match="copy the data"):
        open_captioned_images(DataConfig(path="https://example.com/x"), image_size=8)
    with pytest.raises(ValueError, match=r"data\.path is empty"):
        open_captioned_images(DataConfig(), image_size=8)


def test_a_link_to_a_parent_does_not_go_round(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a/1.png": IMAGE})
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert captions(opened(tmp_path)) == {"a/1.png": ()}
