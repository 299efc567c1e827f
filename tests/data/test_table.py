"""Tables of any name and columns, and pictures that they name loosely."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder
from textok.config import DataConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images
from textok.data.pictures import PictureFiles
from textok.data.table import Table

IMAGE = encoded(50)
FASHION = "id,gender,season,productDisplayName\n"


def opened(path: Path, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), **options), image_size=8)


def captions(images: CaptionedImages) -> dict[str, tuple[str, ...]]:
    return {record.key: record.captions for record in images.records}


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    rows = "7,Men,Fall,Navy Blue Shirt\n8,Women,,Red Shoe, with a bow, in leather,,\n9,Men,Fall,\n"
    files = {f"images/{name}.jpg": IMAGE for name in (7, 8, 9)}
    return write_folder(tmp_path / "fashion", {"styles.csv": FASHION + rows, **files})


def test_ids_are_pictures_and_surplus_fields_part_of_the_last_caption(fashion: Path) -> None:
    images = opened(fashion, table="styles.csv", caption_columns=("productDisplayName",))
    assert captions(images) == {
        "7.jpg": ("Navy Blue Shirt",),
        "8.jpg": ("Red Shoe, with a bow, in leather",),
        "9.jpg": (),
    }
    assert images.report.summary() == "3 images; 1 without a caption"
    named = {"image_column": "id", "images": "images", "delimiter": ","}
    same = opened(fashion, table="styles.csv", caption_columns=("PRODUCTdisplayname ",), **named)
    assert captions(same) == captions(images)


def test_other_columns_are_fields(fashion: Path) -> None:
    settings = {"table": "styles.csv", "caption_columns": ("productDisplayName",)}
    assert list(captions(opened(fashion, where="gender=men,season=fall", **settings))) == [
        "7.jpg",
        "9.jpg",
    ]


def test_empty_columns_at_the_end_of_the_header_are_none(tmp_path: Path) -> None:
    text = 'id,name,,\n1,plain,,\n2,"quoted, one",,\n3,cut, in two,\n'
    files = {f"deep/er/{i}.png": IMAGE for i in (1, 2, 3)}
    write_folder(tmp_path, {"t.csv": text, **files})
    assert captions(opened(tmp_path, table="t.csv", caption_columns=("name",))) == {
        "1.png": ("plain",),
        "2.png": ("quoted, one",),
        "3.png": ("cut, in two",),
    }


def test_rows_whose_surplus_has_no_place_are_reported(tmp_path: Path) -> None:
    text = "image,caption,colour\na.png,red, round,red\nb.png,blue,blue\n"
    write_folder(tmp_path, {"t.csv": text, "a.png": IMAGE, "b.png": IMAGE})
    with pytest.raises(BadFilesError, match=r"1 of 2 images .* a.png \(t.csv line 2: 1 fields too"):
        opened(tmp_path, table="t.csv")
    images = opened(tmp_path, table="t.csv", max_bad_share=0.5)
    assert captions(images) == {"b.png": ("blue",)}
    assert "1 rows with too many fields: a.png" in images.report.summary()


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("t.tsv", "image\tcaption\na.png\tx, y\nb.png\tz\n", {}),
        ("t.csv", "Image ; Caption\na.png; x, y\nb.png;z\n", {}),
        ("t.txt", "image_name| comment_number| comment\na.png| 0| x, y\nb.png|0|z\n",
         {"caption_columns": ("comment",)}),
        ("t.csv", "image;caption\na.png;x, y\nb.png;z\n", {"delimiter": ";"}),
        ("t.dat", "image\tcaption\na.png\tx, y\nb.png\tz\n", {"delimiter": "tab"}),
        ("t.jsonl", '{"image": "a.png", "text": "x, y"}\n{"image": "b", "text": "z"}\n', {}),
        ("t.csv", 'image,caption\n./a.png,"x, y"\nsub\\..\\b.png,z\n', {}),
    ],
)  # fmt: skip
def test_kinds_of_tables(tmp_path: Path, name: str, text: str, options: dict[str, object]) -> None:
    write_folder(tmp_path, {name: text, "a.png": IMAGE, "b.png": IMAGE})
    assert captions(opened(tmp_path, table=name, **options)) == {
        "a.png": ("x, y",),
        "b.png": ("z",),
    }


def test_columns_that_come_twice_and_several_columns_give_several_captions(tmp_path: Path) -> None:
    write_folder(tmp_path, {"t.csv": "image,caption,caption,title\na.png,x,y,z\n", "a.png": IMAGE})
    assert captions(opened(tmp_path, table="t.csv")) == {"a.png": ("x", "y")}
    both = opened(tmp_path, table="t.csv", caption_columns=("title", "caption"))
    assert captions(both) == {"a.png": ("z", "x", "y")}


def test_a_name_is_the_end_of_a_path_and_several_of_it_are_none(tmp_path: Path) -> None:
    text = "image,caption\ncat/1.png,a cat\ndog/1.png,a dog\n2.png,two\n"
    files = {"x/cat/1.png": IMAGE, "x/2.png": IMAGE, "y/2.png": IMAGE}
    write_folder(tmp_path, {"t.csv": text, **files})
    images = opened(tmp_path, table="t.csv", max_bad_share=1.0)
    assert captions(images) == {"cat/1.png": ("a cat",)}
    assert images.report.missing == {
        "dog/1.png": "t.csv line 3",
        "2.png": "t.csv line 4: several images: x/2.png, y/2.png",
    }


def test_a_table_above_the_splits_and_an_absolute_one(tmp_path: Path) -> None:
    text = "image,caption\na.png,x\nb.png,y\n"
    data = write_folder(tmp_path / "data", {"train/a.png": IMAGE, "test/b.png": IMAGE})
    write_folder(tmp_path, {"data/t.csv": text, "elsewhere.csv": text})
    for table in ("t.csv", str(tmp_path / "elsewhere.csv")):
        images = opened(data, table=table, split="test", max_bad_share=0.5)
        assert captions(images) == {"b.png": ("y",)}


def test_columns_of_a_table_with_a_known_name(tmp_path: Path) -> None:
    text = "image,caption,title\na.png,x,t\n"
    write_folder(tmp_path, {"metadata.csv": text, "a.png": IMAGE})
    images = opened(tmp_path, image_column="image", caption_columns=("title",))
    assert captions(images) == {"a.png": ("t",)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "style.csv"}, "no such file in .*; did you mean 'styles.csv'"),
        ({"table": "styles.csv"}, "no column of captions; name it with data.caption_columns"),
        (
            {"table": "styles.csv", "caption_columns": ("productDisplayNam",)},
            "no column productDisplayNam .* did you mean 'productDisplayName'.* id, gender, season",
        ),
        ({"table": "styles.csv", "image_column": "uid"}, "no uid; .* did you mean 'id'"),
        ({"table": "styles.csv", "images": "image"}, "no such folder in .*; did you mean 'images'"),
    ],
)
def test_what_is_not_there_is_named(
    fashion: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        opened(fashion, **options)
    assert "\n" not in str(error.value)


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"but data\.table is empty"):
        DataConfig(images="x")
    with pytest.raises(ValueError, match="give one character"):
        DataConfig(table="t", delimiter="::")
    with pytest.raises(ValueError, match="separates no columns"):
        DataConfig(table="t", delimiter='"')


def test_names_as_json_has_them(tmp_path: Path) -> None:
    rows = [
        '{"image": {"bytes": null, "path": "a.png"}, "caption": "A"}',
        '{"id": "x", "images": ["b.png"], "caption": "B"}',
        '{"id": 3.0, "caption": "C"}',
        '{"image": [{"file_name": "d.png"}], "caption": "D"}',
    ]
    names = ("a.png", "b.png", "3.png", "d.png")
    write_folder(tmp_path, {"metadata.jsonl": "\n".join(rows), **dict.fromkeys(names, IMAGE)})
    assert captions(opened(tmp_path)) == {n: (c,) for n, c in zip(names, "ABCD", strict=True)}
    for value in ('["a.png", "b.png"]', "{}", "true", "1.5", "null"):
        write_folder(tmp_path, {"metadata.jsonl": f'{{"image": {value}}}'})
        with pytest.raises(ValueError, match=r"line 1: no name of an image in image; each row"):
            opened(tmp_path)


def test_values_that_are_no_class(tmp_path: Path) -> None:
    labels = {"a.png": " cat", "b.png": "cat ", "c.png": "NaN", "d.png": "", "e.png": "none"}
    rows = "".join(f"{name},{label}\n" for name, label in labels.items())
    write_folder(tmp_path, {"metadata.csv": f"image,label\n{rows}", **dict.fromkeys(labels, IMAGE)})
    found = [record.label for record in opened(tmp_path).records]
    assert found == ["cat", "cat", None, None, "none"]


def test_ids_are_numbers_of_files_with_zeros(tmp_path: Path) -> None:
    files = {f"{n:02d}.png": encoded(n) for n in (1, 2, 9, 10, 11)}
    text = "nr,title\n1,one\n2,two\n10,ten\n77,of no image\n"
    write_folder(tmp_path, {"list.csv": text, **files})
    named: dict[str, object] = {"image_column": "nr", "caption_columns": ("title",)}
    expected = {"01.png": ("one",), "02.png": ("two",), "10.png": ("ten",)}
    told = "1 tables name files by their numbers: list.csv (1 is 01.png)"
    images = opened(tmp_path, **named)
    assert captions(images) == expected and told in images.report.messages()[0]
    images = opened(tmp_path, table="list.csv", max_bad_share=0.5, **named)
    assert captions(images) == expected and told in images.report.messages()[0]
    assert images.report.missing == {"77": "list.csv line 5"} and images.report.unlisted == 2
    # Nobody says that the ids of a list of unknown columns are these files.
    plain = write_folder(tmp_path / "plain", {"list.csv": "id,caption\n1,one\n", "01.png": IMAGE})
    assert captions(opened(plain)) == {"01.png": ()}
    write_folder(plain, {"metadata.csv": "id,caption\n1,one\n"})
    assert captions(opened(plain)) == {"01.png": ("one",)}


@pytest.mark.parametrize(
    ("files", "ids"),
    [
        (("001.png", "01.png"), ("1",)),  # two files of a number
        (("x/001.png", "y/001.png"), ("1",)),
        (("001.png", "002.png"), ("1", "b")),
        (("001.png", "002.png"), ("1", "-2")),
        (("001.png",), ("9" * 5000,)),
    ],
)
def test_numbers_that_are_not_sure_are_none(
    tmp_path: Path, files: tuple[str, ...], ids: tuple[str, ...]
) -> None:
    text = "nr,caption\n" + "".join(f"{name},x\n" for name in ids)
    write_folder(tmp_path, {"list.csv": text, **dict.fromkeys(files, IMAGE)})
    table = Table(path=tmp_path / "list.csv", image_column="nr")
    assert table.numbers(PictureFiles(root=tmp_path, names=files)) == ""
