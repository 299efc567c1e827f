"""Columns by their usual names, by the user's, and what is said of one that is not there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from textok.data import column_names
from textok.data.captions import field_captions
from textok.data.column_names import FILE_NAMES, column_called, columns_called, named_column
from textok.data.columns import find_columns
from textok.data.report import ReadReport
from textok.data.table import Table


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["caption", "image", "file_name"], ["file_name", "image"]),
        (["id", "Image", " File-Name "], [" File-Name ", "Image", "id"]),
        (["IMAGE", "image"], ["image"]),  # exactly so
        (["Image", "IMAGE"], ["Image"]),  # else the first
        (["caption"], []),
    ],
)
def test_usual_names(columns: list[str], found: list[str]) -> None:
    assert columns_called(FILE_NAMES, columns) == found
    assert column_called(FILE_NAMES, columns) == next(iter(found), None)


def test_the_users_name_and_the_nearest() -> None:
    columns = ["id", "Display Name", "url"]
    assert named_column("display_name", columns, "data.image_column") == "Display Name"
    message = "no column displayname of data.image_column; did you mean 'Display Name'? there are"
    with pytest.raises(ValueError, match=f"^{message.replace('?', '[?]')} id, Display Name, url$"):
        named_column("displayname", columns, "data.image_column")
    with pytest.raises(ValueError, match=r"^no column xyz of it; there are none$"):
        named_column("xyz", [], "it")


def test_the_columns_of_a_table_are_looked_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{row}.png,y,A cat {row}\n" for row in range(50))
    (tmp_path / "t.csv").write_text(f"Image Path,X,Text Of It,caption\n{rows}")
    asked: Counter[str] = Counter()
    monkeypatch.setattr(column_names, "plain_name", lambda name: asked.update([name]) or name)
    table = Table(path=tmp_path / "t.csv", image_column="image path")
    for row in table.rows(ReadReport()):
        column_called(["an image", "Image Path"], row.fields)
        field_captions(row.fields)
    assert max(asked.values()) <= 3  # not 50 times


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_typed_table_names_files_by_the_same_names(name: str) -> None:
    datasets = pytest.importorskip("datasets")
    written = name.replace("_", " ").title()
    features = {written: datasets.Value("string"), "Caption": datasets.Value("string")}
    columns = find_columns(features)
    assert columns is not None
    assert (columns.image, columns.holds, columns.captions) == (written, "files", ("Caption",))


def test_captions_of_a_typed_table() -> None:
    datasets = pytest.importorskip("datasets")
    text, picture = datasets.Value("string"), datasets.Image()
    parts = [{"type": text, "text": text}]
    for name, features in {
        "caption_en": {"caption_id": text, "caption_lang": text, "caption_en": text},
        "messages": {"source": text, "messages": [{"role": text, "content": parts}]},
        "conversations": {"id": text, "conversations": [{"from": text, "value": text}]},
        "texts": {"id": text, "texts": [{"user": text, "assistant": text}]},
    }.items():
        columns = find_columns({"image": picture, **features})
        assert columns is not None and columns.captions == (name,)
