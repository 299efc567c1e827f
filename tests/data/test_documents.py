"""JSON files of images and annotations: which caption is of which image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import encoded, write_folder
from textok.config import DataConfig
from textok.data import open_captioned_images
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
