from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder
from textok.config import DataConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images
from textok.data.detect import own_splits

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


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("training_set", "test_set"), ("train", "test")),
        (("images_train", "Images-Val"), ("train", "val")),
        (("train.2017", "val.2017"), ("train", "val")),
        (("01_train", "02_development", "03_test"), ("train", "val", "test")),
        (("train_v2_256x256", "tst"), ("train", "test")),
        (("train", "holdout"), ("train", "test")),
        (("train_val", "test", "cat"), ("train", "test")),
        (("seg_train", "seg_test", "seg_pred"), ("train", "test")),
        (("archive/my set/train", "archive/my set/val"), ("train", "val")),
        (("x/images/train", "x/images/val"), ("train", "val")),
        (("train", "test_tube", "training_shoes", "validator"), ()),
        (("images/train", "images/bus", "images/car", "images/boat"), ()),
        (("vehicles/train", "vehicles/bus"), ()),
        (("train_track", "test_track"), ()),
        (("trainA", "testA", "trainB", "testB"), ()),
        (("bus_train", "bus_test", "car_train", "car_test"), ()),
    ],
)
def test_folders_are_splits_by_words_that_say_nothing_else(
    tmp_path: Path, folders: tuple[str, ...], splits: tuple[str, ...]
) -> None:
    write_folder(tmp_path, {f"{name}/{i}.png": IMAGE for i, name in enumerate(folders)})
    assert own_splits(DataConfig(path=str(tmp_path))) == splits
    for number, split in enumerate(splits):
        assert list(captions(opened(tmp_path, split=split))) == [f"{number}.png"]
    assert len(opened(tmp_path, split="")) == len(folders)


def test_images_beside_the_splits_are_counted(tmp_path: Path) -> None:
    names = ("train/a", "test/a", "trainval/a", "trainval/x/b", "logo")
    write_folder(tmp_path, {f"{name}.png": IMAGE for name in names})
    report = opened(tmp_path).report
    assert report.beside == {".": 1, "trainval": 2}
    assert "3 beside the splits (data.split takes" in report.summary()
    assert list(report.left_out().values()) == [3] and not opened(tmp_path, split="").report.beside


def test_folders_that_could_be_the_same_split_are_not_guessed(tmp_path: Path) -> None:
    names = ("train_256", "train_512", "val_256")
    write_folder(tmp_path, {f"{name}/{name}.png": IMAGE for name in names})
    with pytest.raises(ValueError, match=r"train_256 and train_512 could both be the split train"):
        opened(tmp_path)
    for split, name in (("train_512", "train_512"), ("val", "val_256")):
        assert list(captions(opened(tmp_path, split=split))) == [f"{name}.png"]


@pytest.mark.parametrize("table", ["metadata.csv", "captions.csv", "list.csv"])
def test_a_column_of_splits_and_one_of_classes(tmp_path: Path, table: str) -> None:
    rows = "file_name,caption,Split,Label\na.png,A,train, x \nb.png,B,dev,nan\nc.png,C,test,y\n"
    names = ("a.png", "b.png", "c.png")
    write_folder(tmp_path, {table: rows, **dict.fromkeys(names, IMAGE)})
    assert own_splits(DataConfig(path=str(tmp_path))) == ("train", "val", "test")
    labels = {"train": "x", "val": None, "test": "y"}
    for name, (split, label) in zip(names, labels.items(), strict=True):
        images = opened(tmp_path, split=split)
        assert [(record.key, record.label) for record in images.records] == [(name, label)]
        assert images.report.unlisted == 0
    assert len(opened(tmp_path, split="")) == 3


def test_a_column_of_splits_that_tells_nothing_apart(tmp_path: Path) -> None:
    rows = "file_name,split\na.png,test\nb.png,{}\n"
    for place, other in (
        ("one", "test"),
        ("set/train", "val"),
    ):  # the folder says which split it is
        files = {f"{place}/a.png": IMAGE, f"{place}/b.png": IMAGE}
        write_folder(tmp_path, {**files, f"{place}/metadata.csv": rows.format(other)})
    for root, splits in (("one", ()), ("set", ("train",))):
        assert own_splits(DataConfig(path=str(tmp_path / root))) == splits
        assert len(opened(tmp_path / root)) == 2
    write_folder(tmp_path, {"one/metadata.csv": rows.format("") + "a.png,train\n"})
    assert opened(tmp_path / "one", split="test").report.unlisted == 1  # b.png is of no split


def test_a_table_in_a_folder_without_images_is_of_those_elsewhere(tmp_path: Path) -> None:
    files = {"images/a.png": IMAGE, "images/b.png": IMAGE}
    rows = "image,caption\na.png,A\n../images/b.png,B\n"
    images = opened(write_folder(tmp_path, {**files, "annotations/captions.csv": rows}))
    assert list(captions(images).values()) == [("A",), ("B",)]
    assert images.report.reads_from == ["annotations/captions.csv (image: captions)"]


def test_tables_that_share_the_images_among_them(tmp_path: Path) -> None:
    rows = "image,caption\n{}.png,{}\n"
    files = {"x/1.png": IMAGE, "y/1.png": IMAGE, "y/2.png": IMAGE}
    files |= {f"{n}/labels.csv": rows.format(1, n) for n in "xy"}
    images = opened(write_folder(tmp_path / "folders", files))
    assert [(r.key, r.captions, r.label) for r in images.records] == [
        ("x/1.png", ("x",), "x"),
        ("y/1.png", ("y",), "y"),
    ]
    assert images.report.unlisted == 1
    files = {"train2017/1.png": IMAGE, "val2017/2.png": IMAGE}
    for number, split in ((1, "train"), (2, "val")):
        files[f"annotations/captions_{split}2017.csv"] = rows.format(number, split)
    images = opened(write_folder(tmp_path / "splits", files), split="")
    assert captions(images) == {"1.png": ("train",), "2.png": ("val",)}


def test_strict_tables_one_inside_the_other(tmp_path: Path) -> None:
    rows = "file_name,caption\n"
    files = {f"{name}.png": IMAGE for name in ("cat/1", "dog/1", "dog/2")}
    files |= {"metadata.csv": f"{rows}cat/1.png,a cat\ndog/1.png,outer\n"}
    files |= {"dog/metadata.csv": f"{rows}1.png,inner\n2.png,two\n"}
    images = opened(write_folder(tmp_path, files))
    assert list(captions(images).values()) == [("a cat",), ("outer",), ("two",)]
    write_folder(tmp_path, {"dog/captions.csv": rows})
    with pytest.raises(ValueError, match=r"dog/captions.csv and dog/metadata.csv; keep one"):
        opened(tmp_path)
    write_folder(tmp_path, {"metadata.csv": f"{rows}cat/1.png,\ndog/1.png,\ndog/2.png,\n"})
    assert len(opened(tmp_path)) == 3  # the outer one names all


@pytest.mark.parametrize(
    ("pictures", "texts"),
    [
        ("images/{}", "captions/{}"),
        ("{}", "captions/{}"),
        ("{}/a", "text/{}_set/a"),
        ("{}_images", "{}_captions"),
    ],
)
def test_folders_of_texts_called_after_the_splits(
    tmp_path: Path, pictures: str, texts: str
) -> None:
    for split in ("train", "val"):
        write_folder(tmp_path / pictures.format(split), {"x.png": IMAGE})
        write_folder(tmp_path / texts.format(split), {"x.txt": split})
    for split in ("train", "val"):
        assert [record.captions for record in opened(tmp_path, split=split).records] == [(split,)]


def test_what_cannot_be_read_does_not_stop_the_rest(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.png": IMAGE, "b.png": IMAGE, "#recycle/c.png": IMAGE})
    for name in ("pipe", "p.png", "a.txt", "list.csv", "metadata.csv", "README.md", "x.parquet"):
        os.mkfifo(tmp_path / name)
    for name in ("link.png", "link"):
        (tmp_path / name).symlink_to(name)
    images = opened(tmp_path, max_bad_share=1.0)
    assert list(captions(images)) == ["a.png", "b.png", "link.png", "p.png"]
    for index, reason in ((2, "symbolic links"), (3, "a pipe, where a file is needed")):
        with pytest.raises(OSError, match=reason):
            images.read(index)


def test_a_text_that_gives_no_caption_is_named(tmp_path: Path) -> None:
    files = {"a.png": IMAGE, "a.json": '{"title": "x"}', "b.png": IMAGE, "b.txt": " "}
    assert opened(write_folder(tmp_path, files)).report.unread == ["a.json"]
