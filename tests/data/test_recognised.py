"""Captions that lie where other tools put them are found, or named as not read."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder
from textok.config import DataConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images
from textok.data.detect import own_splits
from textok.data.folder import list_folder
from textok.data.pictures import PictureFiles
from textok.data.table_place import find_tables

IMAGE = encoded(50)
PAIR = {"a.png": ("one",), "b.png": ("two",)}


def opened(path: Path, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), **options), image_size=8)


def captions(images: CaptionedImages) -> dict[str, tuple[str, ...]]:
    return {record.key: record.captions for record in images.records}


COCO = {
    "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}],
    "annotations": [
        {"image_id": 7, "caption": "one"},
        {"image_id": 8, "caption": "two"},
        {"image_id": 9, "caption": "of no image"},
    ],
}
LLAVA = [
    {
        "id": "x",
        "image": name,
        "conversations": [
            {"from": "human", "value": "<image>\nDescribe."},
            {"from": "gpt", "value": text},
        ],
    }
    for name, text in (("a.png", "one"), ("b.png", "two"))
]
KARPATHY = {
    "images": [
        {"filename": name, "sentences": [{"raw": text, "tokens": []}]}
        for name, text in (("a.png", "one"), ("b.png", "two"))
    ]
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset.csv", "image,prompt\na.png,one\nb.png,two\n"),
        ("list.csv", "Image Path, Caption Text\na.png,one\nb.png,two\n"),
        ("t.tsv", "filename\tcaption\na.png\tone\nb.png\ttwo\n"),
        ("t.csv", "id;description\na;one\nb;two\n"),
        ("results.csv", "image_name| comment_number| comment\na.png| 0| one\nb.png| 0| two\n"),
        ("captions.txt", "image,caption\na.png,one\nb.png,two\n"),
        ("x.token", "a.png#0\tone\nb.png#0\ttwo\n"),
        ("pairs.txt", "a.png\tone\nb.png\ttwo\n"),
        ("bare.csv", "a.png,one\nb.png,two\n"),
        ("odd.csv", "where_it_is,caption\na.png,one\nb.png,two\n"),
        ("metadata1000.jsonl", '{"file_name": "a.png", "text": "one"}\n{"file_name": "b.png", '
                               '"text": "two"}\n'),
        ("metadata.json", json.dumps([{"file_name": "a.png", "text": "one"},
                                      {"file_name": "b.png", "text": "two"}])),
        ("metadata.jsonl", json.dumps(LLAVA, indent=1)),
        ("meta_cap.json", json.dumps({"a.png": {"caption": "one"}, "b.png": {"caption": "two"}})),
        ("captions.json", json.dumps({"a.png": "one", "b": ["two"]})),
        ("chat.json", json.dumps(LLAVA)),
        ("dataset_coco.json", json.dumps(KARPATHY)),
        ("annotations/captions.json", json.dumps(COCO)),
        ("wrapped.json", json.dumps({"data": [["a.png", "one"], ["b.png", "two"]]})),
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["", "images/"])
def test_tables_are_known_by_what_they_say(
    tmp_path: Path, name: str, content: str, folder: str
) -> None:
    write_folder(tmp_path, {f"{folder}{image}": IMAGE for image in PAIR} | {name: content})
    images = opened(tmp_path)
    keys = {key.removeprefix(folder): texts for key, texts in captions(images).items()}
    assert keys == PAIR
    assert images.classes == [] and images.report.unread == []
    if name != "metadata.jsonl":
        assert images.report.reads_from[0].startswith(name)


def test_numbered_columns_are_captions_in_order(tmp_path: Path) -> None:
    text = "image_path,caption_1,caption_0,label\na.png,one,zero,x\n"
    write_folder(tmp_path, {"t.csv": text, "a.png": IMAGE})
    images = opened(tmp_path)
    assert captions(images) == {"a.png": ("one", "zero")} and images.classes == ["x"]


def test_classes_of_a_document_without_captions(tmp_path: Path) -> None:
    document = {"labels": [["0/a.png", 3], ["0/b.png", 11]]}
    files = {"dataset.json": json.dumps(document), "0/a.png": IMAGE, "0/b.png": IMAGE}
    files |= {"0/a.txt": "one"}
    images = opened(write_folder(tmp_path, files))
    assert captions(images) == {"0/a.png": ("one",), "0/b.png": ()}
    assert [record.label for record in images.records] == ["3", "11"]


def test_two_tables_with_captions_are_refused(tmp_path: Path) -> None:
    text = "image,caption\na.png,one\n"
    write_folder(tmp_path, {"long.csv": text, "short.csv": text, "a.png": IMAGE})
    with pytest.raises(ValueError, match=r"long\.csv and short\.csv both have captions"):
        opened(tmp_path)
    assert captions(opened(tmp_path, table="long.csv")) == {"a.png": ("one",)}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("train_data.jsonl", '{"image": "a.png", "caption": "one"}\noops\n', "line 2: no JSON"),
        ("list.json", '[{"image": "a.png", "caption": "one"}, {"ima', "no JSON of images and"),
        ("list.csv", "image,caption\na.png,一只红色的猫\n".encode("gbk"), "is not UTF-8 in line 2"),
        ("list.tsv", 'image\tcaption\na.png\t"Open\nb.png\ttwo\n', "line 2: a quote"),
        ("list.csv", 'id,caption\na,"one\nb,two\n', "line 2: a quote"),
        ("other.csv", 'id,caption\nx,"one\ny,two\n', ""),
        ("notes.json", '{"unfinished": ', ""),
    ],
)
def test_what_is_wrong_with_a_table_of_the_images_is_told(
    tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    files = list_folder(write_folder(tmp_path, {name: content, **dict.fromkeys(PAIR, IMAGE)}))
    pictures, problems = PictureFiles(root=tmp_path, names=files.images), dict[str, str]()
    assert find_tables(files, (), pictures, DataConfig(path=str(tmp_path)), problems) == []
    assert list(problems) == ([name] if problem else [])
    assert problems.get(name, "").startswith(problem) and str(tmp_path) not in str(problems)


@pytest.mark.parametrize(
    ("folder", "name", "path", "key"),
    [
        ("x", "1.png", "x/1.png", "x/1.png"),
        ("y", "1", "y/1.png", "y/1.png"),
        ("y", "1.PNG", "y/1.png", "y/1.png"),
        ("y", "2.png", "y/2.png", "2.png"),
        ("x", "2.png", "y/2.png", "2.png"),
        ("x", "y\\2.png", "y/2.png", "y/2.png"),
        ("notes/more", "../../y/2.png", "y/2.png", "y/2.png"),
        ("notes", "..\\y\\2", "y/2.png", "y/2.png"),
        ("notes", "1.png", "", ""),
        ("..", "other/3.png", "", ""),
    ],
)
def test_an_image_of_the_table_s_own_folder_comes_first(
    tmp_path: Path, folder: str, name: str, path: str, key: str
) -> None:
    names = ("x/1.png", "y/1.png", "y/2.png")
    write_folder(tmp_path, {"set/" + n: IMAGE for n in names} | {"other/3.png": IMAGE})
    pictures = PictureFiles(root=tmp_path / "set", names=names, allow_outside=True)
    found = pictures.find(name, tmp_path / "set" / folder)
    assert (found.path, found.key) == (path, key)


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    files = {"a.png": IMAGE, "b.png": IMAGE, "prompts.txt": "one\ntwo\n", "README.md": "x"}
    images = opened(write_folder(tmp_path, {**files, "styles.csv": "who,title\nx,y\n"}))
    assert images.report.unread == ["prompts.txt", "styles.csv"]
    assert "not read as captions: prompts.txt, styles.csv" in images.report.messages()[1]
    with pytest.raises(ValueError, match=r"none of 2 images has a caption.*prompts\.txt") as error:
        images.require_captions()
    assert "\n" not in str(error.value)
    opened(tmp_path, allow_uncaptioned=True).require_captions()


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("a.jpg", "a.caption"),
        ("a.jpg", "a.TXT"),
        ("a.jpg", "a.jpg.txt"),
        ("a.v2.jpg", "a.v2.text"),
        ("images/x/a.jpg", "captions/x/a.txt"),
        ("CUB/images/1.Crow/a.jpg", "text_c10/1.Crow/a.txt"),
        ("a.jpg", "txt/a.txt"),
    ],
)
def test_texts_of_an_image(tmp_path: Path, image: str, text: str) -> None:
    images = opened(write_folder(tmp_path, {image: IMAGE, text: "one\ntwo"}))
    assert captions(images) == {image: ("one", "two")} and images.report.unread == []


def test_texts_in_a_folder_that_could_be_of_two_images_are_of_none(tmp_path: Path) -> None:
    files = {"x/images/a.png": IMAGE, "y/images/a.png": IMAGE, "captions/a.txt": "one"}
    images = opened(write_folder(tmp_path, files))
    assert images.report.without_caption == 2 and images.report.unread == ["captions/a.txt"]


def test_a_json_beside_an_image(tmp_path: Path) -> None:
    facts = {"prompt": "one", "seed": 7, "nested": {"x": 1}}
    files = {"a.png": IMAGE, "a.json": json.dumps(facts), "b.png": IMAGE, "b.json": '["x", "y"]'}
    images = opened(write_folder(tmp_path, {**files, "c.png": IMAGE, "c.json": "damaged"}))
    assert captions(images) == {"a.png": ("one",), "b.png": ("x", "y"), "c.png": ()}
    assert captions(opened(tmp_path, where="seed=7")) == {"a.png": ("one",)}


def test_a_table_without_captions_leaves_them_to_the_texts(tmp_path: Path) -> None:
    table = '{"file_name": "a.png", "label": "x"}\n{"file_name": "b.png", "caption": "own"}\n'
    files = {"metadata.jsonl": table, "a.png": IMAGE, "b.png": IMAGE}
    images = opened(write_folder(tmp_path, {**files, "a.txt": "one", "b.txt": "other"}))
    assert captions(images) == {"a.png": ("one",), "b.png": ("own",)}
    assert images.classes == ["x"]


def test_tables_of_class_folders(tmp_path: Path) -> None:
    files = {
        f"{kind}/metadata.csv": f"file_name,caption\n1.png,a {kind}\n" for kind in ("cat", "dog")
    }
    files |= {"cat/1.png": IMAGE, "dog/1.png": IMAGE, "eel/1.png": IMAGE, "eel/1.txt": "an eel"}
    images = opened(write_folder(tmp_path, files))
    assert {r.key: (r.captions, r.label) for r in images.records} == {
        "cat/1.png": (("a cat",), "cat"),
        "dog/1.png": (("a dog",), "dog"),
        "eel/1.png": (("an eel",), "eel"),
    }


def test_a_folder_for_all_images_is_no_class(tmp_path: Path) -> None:
    files = {"set/Images/cat/1.png": IMAGE, "set/Images/dog/1.png": IMAGE}
    assert opened(write_folder(tmp_path / "classes", files)).classes == ["cat", "dog"]
    flat = write_folder(tmp_path / "flat", {"images/1.png": IMAGE, "images/2.png": IMAGE})
    assert opened(flat).classes == []


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("Train", "Val", "Test"), ("train", "val", "test")),
        (("training", "validation", "testing"), ("train", "val", "test")),
        (("train2017", "val2017"), ("train", "val")),
        (("train", "dev"), ("train", "val")),
        (("images/train", "images/valid"), ("train", "val")),
        (("cat", "dev"), ()),
    ],
)
def test_splits_by_the_names_in_use(
    tmp_path: Path, folders: tuple[str, ...], splits: tuple[str, ...]
) -> None:
    write_folder(tmp_path, {f"{name}/{i}.png": IMAGE for i, name in enumerate(folders)})
    config = DataConfig(path=str(tmp_path))
    assert own_splits(config) == splits
    for number, split in enumerate(splits):
        assert list(captions(opened(tmp_path, split=split))) == [f"{number}.png"]


def test_a_table_above_the_splits_and_one_for_each(tmp_path: Path) -> None:
    images = {"train/a.png": IMAGE, "val/b.png": IMAGE}
    text = "image,caption\ntrain/a.png,one\nval/b.png,two\n"
    above = write_folder(tmp_path / "above", {**images, "captions.csv": text})
    each = write_folder(
        tmp_path / "each",
        {
            **images,
            "annotations/captions_train.csv": "image,caption\na.png,one\n",
            "annotations/captions_val.csv": "image,caption\nb.png,two\n",
        },
    )
    for root in (above, each):
        assert captions(opened(root)) == {"a.png": ("one",)}
        assert captions(opened(root, split="val")) == {"b.png": ("two",)}
        assert opened(root).report.pictureless == 0


def test_splits_that_tables_tell_of(tmp_path: Path) -> None:
    text = "image,caption,split\na.png,one,train\nb.png,two,valid\n"
    column = write_folder(tmp_path / "column", {"t.csv": text, **dict.fromkeys(PAIR, IMAGE)})
    files = {"train.csv": "image,caption\na.png,one\n", "dev.csv": "image,caption\nb.png,two\n"}
    names = write_folder(tmp_path / "names", {**files, **dict.fromkeys(PAIR, IMAGE)})
    files = {"captionsTrain.tsv": "image\tcaption\na.png\tone\n"}
    files |= {"COCOVal2017Captions.tsv": "image\tcaption\nb.png\ttwo\n"}
    joined = write_folder(tmp_path / "joined", {**files, **dict.fromkeys(PAIR, IMAGE)})
    for root in (column, names, joined):
        assert own_splits(DataConfig(path=str(root))) == ("train", "val")
        assert captions(opened(root)) == {"a.png": ("one",)}
        assert captions(opened(root, split="val")) == {"b.png": ("two",)}
    with pytest.raises(ValueError, match=r"no rows of 'test'; data\.split can be train, val"):
        opened(column, split="test")


@pytest.mark.parametrize(
    "name",
    ["./img/a.png", "img\\a.png", "a.png ", "IMG/A.PNG", "img/a", "set/img/a.png", "/old/img/a.png",
     "C:\\data\\img\\a.png", "a.jpeg"],
)  # fmt: skip
def test_a_picture_is_found_by_what_the_table_calls_it(tmp_path: Path, name: str) -> None:
    root = write_folder(tmp_path / "set", {"img/a.png": IMAGE})
    row = json.dumps({"file_name": name, "caption": "one"})
    write_folder(root, {"metadata.jsonl": row})
    if name == "a.jpeg":
        with pytest.raises(BadFilesError, match=r"no such image, but img/a\.png"):
            opened(root)
    else:
        assert [record.captions for record in opened(root).records] == [("one",)]


def test_names_that_are_one_picture_are_one_record(tmp_path: Path) -> None:
    text = f"file_name,caption\na.png,one\n./a.png,two\n{tmp_path}/a.png,three\n"
    images = opened(write_folder(tmp_path, {"metadata.csv": text, "a.png": IMAGE}))
    assert captions(images) == {"a.png": ("one", "two", "three")} and not images.report.unlisted


def test_files_outside_are_read_only_when_allowed(tmp_path: Path) -> None:
    write_folder(tmp_path, {"other/secret.png": IMAGE, "set/a.png": IMAGE})
    for name in ("../other/secret.png", str(tmp_path / "other/secret.png")):
        text = f"file_name,caption\n{name},one\na.png,two\n"
        write_folder(tmp_path, {"set/metadata.csv": text})
        with pytest.raises(BadFilesError, match=r"outside the folder; data\.allow_outside"):
            opened(tmp_path / "set")
        images = opened(tmp_path / "set", allow_outside=True)
        assert [record.captions for record in images.records] == [("one",), ("two",)]
        assert images.read(0).shape == (8, 8, 3)


def test_accents_in_either_form(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    write_folder(tmp_path / "text", {f"{apart}.png": IMAGE, f"{composed}.txt": "one"})
    assert [record.captions for record in opened(tmp_path / "text").records] == [("one",)]
    table = json.dumps({"file_name": f"{composed}.png", "caption": "one"})
    write_folder(tmp_path / "table", {f"{apart}.png": IMAGE, "metadata.jsonl": table})
    assert [record.captions for record in opened(tmp_path / "table").records] == [("one",)]


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    folder = bytes(tmp_path)
    for name in (b"caf\xe9.png", b"caf\xe9.txt"):
        Path((folder + b"/" + name).decode("utf-8", "surrogateescape")).write_bytes(
            IMAGE if name.endswith(b"png") else b"one"
        )
    images = opened(tmp_path)
    assert captions(images) == {"caf\\xe9.png": ("one",)}
    assert images.read(0).shape == (8, 8, 3)
    "".join(record.key for record in images.records).encode("utf-8")


def test_previews_and_other_formats_are_counted(tmp_path: Path) -> None:
    files = {"a.png": IMAGE, "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg": IMAGE, "__MACOSX/a.png": IMAGE}
    images = opened(write_folder(tmp_path, {**files, "b.jxl": b"\xff\x0a", "c.jxl": b"\xff\x0a"}))
    assert list(captions(images)) == ["a.png"]
    assert images.report.left_out() == {"thumbnails left out": 2, ".jxl files": 2}
    assert "2 .jxl files left out (pillow-jxl-plugin reads them)" in images.report.summary()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.jxl": b"\xff\x0a"}, r"1 \.jxl files \(install pillow-jxl-plugin"),
        ({"images.zip": b"PK", "metadata.jsonl": '{"file_name": "a.png"}'}, r"1 \.zip \(unpack"),
        ({"0.tar.gz": b"\x1f\x8b"}, r"1 \.gz \(unpack it"),
        ({"sub/0.tar": b""}, r"1 \.tar \(in sub-folders"),
    ],
)
def test_what_is_there_in_the_place_of_images_is_named(
    tmp_path: Path, files: dict[str, bytes | str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        opened(write_folder(tmp_path, files))
