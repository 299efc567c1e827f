"""JSON files of images and annotations: which caption is of which image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import encoded, write_folder
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.data.detect import own_splits
from textok.data.documents import document_rows

ONE = {"id": 1, "file_name": "a.png"}
TWO = {"id": 2, "file_name": "b.png"}


def captions(images: list[object], annotations: list[object]) -> dict[object, object]:
    rows = document_rows({"images": images, "annotations": annotations})
    return {row["file_name"]: row.get("captions", row.get("caption")) for row in rows}


@pytest.mark.parametrize("of", [1, "1", " 1", 1.0])
@pytest.mark.parametrize("own", [1, "1", 1.0])
def test_ids_are_compared_as_text(of: object, own: object) -> None:
    found = captions([TWO, ONE | {"id": own}], [{"image_id": of, "caption": "A"}])
    assert found == {"a.png": ["A"], "b.png": None}


@pytest.mark.parametrize("strange", [[1], {"a": 1}])
def test_ids_that_are_none(strange: object, tmp_path: Path) -> None:
    document = {
        "images": [{"id": strange, "file_name": "a.png"}, TWO],
        "annotations": [{"image_id": strange, "caption": "A"}, {"image_id": 2, "caption": "B"}],
    }
    files = {"list.json": json.dumps(document), "a.png": encoded(1), "b.png": encoded(2)}
    images = open_captioned_images(
        DataConfig(path=str(write_folder(tmp_path, files))), image_size=8
    )
    assert images.records[1].captions == ("B",)


@pytest.mark.parametrize(
    "annotation",
    [
        {"image_id": 1, "text": "A"},
        {"image_id": 1, "captions": ["A"]},
        {"image_id": 1, "caption": None, "sentence": "A"},
        {"image_id": 1, "caption": "A", "bbox": [0, 0, 1, 1]},
        {"image_id": 1, "text": "A", "bbox": []},
        {"file_name": "a.png", "caption": "A"},
        {"image": "a.png", "text": "A"},
    ],
)
def test_annotations_with_captions(annotation: object) -> None:
    (found,) = captions([ONE], [annotation]).values()
    assert found in (["A"], [["A"]])


def test_images_with_captions_of_their_own() -> None:
    own: list[Any] = [ONE | {"caption": "A"}, TWO]
    for boxes in ([], [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 1, 1]}]):
        assert captions(own, boxes) == {"a.png": "A", "b.png": None}
    assert captions(own, [{"image_id": 2, "caption": "B"}]) == {"a.png": "A", "b.png": ["B"]}


def test_annotations_without_captions_are_no_table() -> None:
    boxes: dict[str, object] = {"image_id": 1, "category_id": 3, "bbox": [0, 0, 1, 1]}
    assert captions([ONE], [boxes]) == {}
    assert captions([ONE], [boxes | {"text": "EXIT"}]) == {}  # what is written in the box
    assert captions([], []) == {}


def test_captions_of_no_image_are_refused() -> None:
    with pytest.raises(ValueError, match="no image has the id '7', which a caption is of"):
        captions([ONE, TWO], [{"image_id": 7, "caption": "A"}])
    with pytest.raises(ValueError, match="no annotation says by its image_id"):
        captions([{"file_name": "a.png"}, {"file_name": "b.png"}], [{"caption": "A"}])
    with pytest.raises(ValueError, match="no annotation says by its image_id"):
        captions([ONE | {"id": None}], [{"image_id": None, "caption": "A"}])


FORMS: dict[str, object] = {
    "lists": {"image": ["a.png", "b.png"], "caption": ["A", "B"]},
    "images and captions": {"images": ["a.png", "b.png"], "captions": [["A"], "B"], "version": 1},
    "other names": {"photo": ["a.png", "b.png"], "title_caption": ["A", "B"], "n": [1, 2]},
    "pandas": {"image": {"0": "a.png", "1": "b.png"}, "caption": {"1": "B", "0": "A"}},
    "split": {"columns": ["caption", "n", "image"], "index": [0, 1],
              "data": [["A", 1, "a.png"], ["B", 2, "b.png"]]},
    "index": {"0": {"image": "a.png", "caption": "A"}, "1": {"image": "b.png", "caption": "B"}},
    "table": {"schema": {"fields": []}, "data": [{"index": 0, "image": "a.png", "caption": "A"},
                                                 {"index": 1, "image": "b.png", "caption": "B"}]},
    "datasets": {"image": [{"bytes": None, "path": "a.png"}, {"bytes": None, "path": "b.png"}],
                 "text": ["A", "B"]},
    "ids": {"id": ["a", "b"], "caption": ["A", "B"]},
}  # fmt: skip


def found(root: Path, **options: Any) -> dict[str, tuple[str, ...]]:
    images = open_captioned_images(DataConfig(path=str(root), **options), image_size=8)
    return {record.key: record.captions for record in images.records}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["list.json", "metadata.jsonl"])
@pytest.mark.parametrize("indent", [None, 1])
def test_tables_by_column(tmp_path: Path, form: str, name: str, indent: int | None) -> None:
    if name == "metadata.jsonl" and form in ("index", "table", "other names"):
        pytest.skip("one object may be a row there, and the column has a usual name")
    text = json.dumps(FORMS[form], indent=indent)
    write_folder(tmp_path, {name: text, "a.png": encoded(1), "b.png": encoded(2)})
    assert found(tmp_path) == {"a.png": ("A",), "b.png": ("B",)}


def test_numbers_of_rows_are_no_images_where_a_column_names_those(tmp_path: Path) -> None:
    rows = {str(n): {"image": f"{2 - n}.png", "caption": f"of {2 - n}"} for n in range(3)}
    files: dict[str, bytes | str] = {f"{n}.png": encoded(n) for n in range(3)}
    write_folder(tmp_path, {**files, "list.json": json.dumps(rows)})
    assert found(tmp_path) == {f"{n}.png": (f"of {n}",) for n in range(3)}


@pytest.mark.parametrize(
    "document",
    [
        {"a.png": ["A", "x.png"], "b.png": ["B", "y.png"]},  # captions, of which some name images
        {"a": ["A"], "b": ["B"]},
        {"train": ["A"], "test": ["B"]},  # captions of train.png and test.png
        {"train": {"caption": "A"}, "test": {"caption": "B"}},
        {"train": "A", "val": "B"},
    ],
)
def test_objects_from_names_to_captions_stay_such(document: dict[str, object]) -> None:
    rows = list(document_rows(document))
    assert [row["file_name"] for row in rows] == list(document)
    said = [row.get("captions", row.get("caption")) for row in rows]
    assert [one if isinstance(one, str) else one[0] for one in said] == ["A", "B"]  # type: ignore[index]


def test_columns_of_different_lengths_are_told(tmp_path: Path) -> None:
    text = json.dumps({"image": ["a.png", "b.png"], "caption": ["A"]})
    write_folder(tmp_path, {"list.json": text, "a.png": encoded(1)})
    report = open_captioned_images(DataConfig(path=str(tmp_path)), image_size=8).report
    problem = "no JSON of images and captions (columns of different lengths: image 2, caption 1)"
    assert report.unread == [f"list.json ({problem})"]


def test_lists_of_images_by_class_are_no_columns() -> None:
    classes: dict[str, object] = {"cat": ["a.png", "b.png"], "dog": ["c.png", "d.png"]}
    assert [row["file_name"] for row in document_rows(classes)] == ["cat", "dog"]


PARTS: dict[str, dict[str, object]] = {
    "objects": {"train": [{"image": "a.png", "caption": "A"}],
                "test": [{"image": "b.png", "caption": "B"}],
                "info": {"year": 2020}, "classes": ["x"]},
    "pairs": {"training": [["a.png", "A"]], "testing": [["b.png", "B"]], "val": []},
    "columns": {"train": {"image": ["a.png"], "caption": ["A"]},
                "test": {"image": ["b.png"], "caption": ["B"]}},
    "names": {"train": {"a.png": "A"}, "test": {"b.png": ["B"]}},
    "coco": {"train": {"images": [ONE], "annotations": [{"image_id": 1, "caption": "A"}]},
             "test": {"images": [TWO], "annotations": [{"image_id": 2, "caption": "B"}]}},
}  # fmt: skip


@pytest.mark.parametrize("form", PARTS)
@pytest.mark.parametrize("folders", [False, True])
@pytest.mark.parametrize("name", ["list.json", "metadata.jsonl"])
def test_documents_of_splits(tmp_path: Path, form: str, folders: bool, name: str) -> None:
    if name == "metadata.jsonl" and form == "coco":
        pytest.skip("as its objects")
    train, test = ("train/", "test/") if folders else ("", "")
    files = {f"{train}a.png": encoded(1), f"{test}b.png": encoded(2)}
    write_folder(tmp_path, {**files, name: json.dumps(PARTS[form])})
    config = DataConfig(path=str(tmp_path))
    assert own_splits(config) == ("train", "test")
    assert found(tmp_path) == {"a.png": ("A",)}
    assert found(tmp_path, split="test") == {"b.png": ("B",)}


def test_json_lines_may_be_called_json(tmp_path: Path) -> None:
    text = '{"image": "a.png", "caption": "A"}\n\n{"image": "b.png", "caption": "B"}\n'
    write_folder(tmp_path, {"list.json": text, "a.png": encoded(1), "b.png": encoded(2)})
    assert found(tmp_path) == {"a.png": ("A",), "b.png": ("B",)}
    write_folder(tmp_path, {"list.json": text + '{"image": '})
    images = open_captioned_images(DataConfig(path=str(tmp_path)), image_size=8)
    assert images.report.unread == [
        "list.json (line 4: no JSON (Expecting value); repair the line)"
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("styles.xlsx", "styles.xlsx (a workbook: save its sheet as CSV)"),
        ("notes/list.ODS", "notes/list.ODS (a workbook: save its sheet as CSV)"),
        ("metadata.csv.gz", "metadata.csv.gz (compressed: unpack it)"),
        ("list.json.zip", "list.json.zip (compressed: unpack it)"),
    ],
)
def test_tables_that_are_read_when_converted(tmp_path: Path, name: str, told: str) -> None:
    files: dict[str, bytes | str] = {"~$styles.xlsx": b"x", "a.zip": b"PK", "a.csv": "x,y\n1,2\n"}
    write_folder(tmp_path, {**files, name: b"PK\3\4", "b.png": encoded(1)})
    report = open_captioned_images(DataConfig(path=str(tmp_path)), image_size=8).report
    assert report.unread == [told, "a.csv"]
    assert report.cure().startswith(f"not read as captions: {told}, a.csv; name a table")
