"""Parquet files as Hugging Face writes them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import encoded, write_folder
from tests.data.parquet_files import levels, opened, pictures, write
from textok.config import DataConfig
from textok.data.detect import own_splits
from textok.data.loading import train_batches

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytestmark = pytest.mark.usefixtures("hf_cache")


def test_a_clone_of_a_hub_repository(tmp_path: Path) -> None:
    classes = datasets.ClassLabel(names=["cat", "dog"])
    names = {"train-00000-of-00002": 0, "train-00001-of-00002": 2, "validation-00000-of-00001": 4}
    for name, first in names.items():
        columns = {
            "image": pictures(2, first),
            "text": [f"number {first}", ""],
            "label": [1, 0],
            "width": [8, 9],
        }
        write(tmp_path / "data" / f"{name}.parquet", columns, label=classes)
    write_folder(
        tmp_path, {"README.md": "---\ndataset_info:\n---\n", ".gitattributes": "*.parquet"}
    )
    images = opened(tmp_path)
    assert [(r.key, r.captions, r.label) for r in images.records] == [
        ("train/0", ("number 0",), "dog"),
        ("train/1", (), "cat"),
        ("train/2", ("number 2",), "dog"),
        ("train/3", (), "cat"),
    ]
    assert levels(images) == [0, 10, 20, 30]
    assert images.records[2].read_bytes() == encoded(20)
    assert images.report.summary() == "4 images; 2 without a caption"
    assert images.classes == ["cat", "dog"]
    assert own_splits(DataConfig(path=str(tmp_path))) == ("train", "val")
    for name in ("val", "validation"):
        assert levels(opened(tmp_path, name)) == [40, 50]
    assert [r.key for r in opened(tmp_path, "val").records] == ["val/0", "val/1"]
    assert levels(opened(tmp_path, "")) == [0, 10, 20, 30, 40, 50]
    assert levels(opened(tmp_path, where="label=cat,width=9")) == [10, 30]
    with pytest.raises(ValueError, match=r"no split 'test'; data.split can be train, val$"):
        opened(tmp_path, "test")


def test_a_table_without_captions_is_told(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", {"image": pictures(2), "width": [8, 9]})
    told = "t.parquet holds no captions: its columns are image, width; data.caption_columns"
    assert opened(tmp_path).report.cure().startswith(told)


def test_files_of_two_splits_are_not_the_same_images(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(tmp_path / f"{name}.parquet", {"image": pictures(1)})
    records = [opened(tmp_path, split).records[0] for split in ("train", "test")]
    assert records[0].file != records[1].file and records[0].span == records[1].span == (0, 1)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train.parquet", "test.parquet"), ("train", "test")),
        (("dev-0.parquet", "my_train_1.parquet"), ("train", "val")),
        (("train/0000.parquet", "validation/0000.parquet"), ("train", "val")),
        (("default/train/0000.parquet", "default/test/0.parquet"), ("train", "test")),
        (("data/test_seen-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"),
         ("train", "test_seen")),
        (("part-00000-of-00002.parquet", "part-00001-of-00002.parquet"), ()),
        (("0000.parquet", "a/0001.parquet"), ()),
        (("trained.parquet", "contest.parquet"), ()),
    ],
)  # fmt: skip
def test_splits_by_the_names_of_files(
    tmp_path: Path, names: tuple[str, ...], splits: tuple[str, ...]
) -> None:
    for number, name in enumerate(names):
        write(tmp_path / name, {"image": pictures(1, number)})
    assert own_splits(DataConfig(path=str(tmp_path))) == splits
    assert len(opened(tmp_path, "")) == 2
    assert len(opened(tmp_path, splits[0] if splits else "train")) == (1 if splits else 2)


@pytest.mark.parametrize("column", ["split", "Split"])
def test_a_column_says_which_split_a_row_is_of(tmp_path: Path, column: str) -> None:
    columns = {"image": pictures(4), column: ["train", "dev", "test", "restval"]}
    write(tmp_path / "test-00000-of-00001.parquet", columns)
    assert own_splits(DataConfig(path=str(tmp_path))) == ("train", "val", "test")
    images = opened(tmp_path)
    assert levels(images) == [0, 30]
    assert [record.key for record in images.records] == ["train/0", "train/3"]
    assert levels(opened(tmp_path, "val")) == [10] and levels(opened(tmp_path, "test")) == [20]
    assert [r.key for r in opened(tmp_path, "").records] == [
        *("train/0", "val/1", "test/2", "train/3")
    ]
    other = {"image": pictures(2), "split": ["a", "train"]}
    assert len(opened(write(tmp_path / "other.parquet", other))) == 2


def test_a_folder_without_parquet_does_not_wait_for_the_library(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.png": encoded(10), "a.txt": "a"})
    code = f"""
import sys
from textok.config import DataConfig
from textok.data import open_captioned_images
assert len(open_captioned_images(DataConfig(path={str(tmp_path)!r}), image_size=8)) == 1
assert not {{"datasets", "pyarrow"}} & set(sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_one_file_and_a_pattern_have_no_splits(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(tmp_path / f"{name}.parquet", {"image": pictures(2)})
    assert [r.key for r in opened(tmp_path / "test.parquet").records] == ["0", "1"]
    assert own_splits(DataConfig(path=str(tmp_path / "test.parquet"))) == ()
    assert len(opened(tmp_path / "t*.parquet")) == 4
    for name in ("none.parquet", "none*.parquet"):
        with pytest.raises(ValueError, match=r"none\*?.parquet does not exist"):
            opened(tmp_path / name)


def test_the_card_says_which_files_make_a_split(tmp_path: Path) -> None:
    for number, name in enumerate(("a/x", "a/y", "b/x")):
        write(tmp_path / f"{name}.parquet", {"image": pictures(1, number)})
    entry = "- config_name: {}\n  data_files:\n  - split: train\n    path: {}\n"
    listed = entry.format("one", "a/x*") + "  - split: validation\n    path: [a/y.parquet]\n"
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{listed}---\n# Set\n")
    assert own_splits(DataConfig(path=str(tmp_path))) == ("train", "val")
    assert levels(opened(tmp_path)) == [0] and levels(opened(tmp_path, "val")) == [10]
    two = f"---\nconfigs:\n{listed}{entry.format('two', 'b/*')}---\n"
    (tmp_path / "README.md").write_text(two)
    with pytest.raises(ValueError, match="several configurations: one, two; give the files"):
        opened(tmp_path)
    assert levels(opened(tmp_path / "b" / "*.parquet")) == [20]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"caption": ["a", None], "text": ["x", "y"]}, [("a",), ("y",)]),
        ({"captions": [["a", "b"], []]}, [("a", "b"), ()]),
        ({"caption_0": ["a", "c"], "caption_1": ["b", "d"]}, [("a", "b"), ("c", "d")]),
        ({"Prompt ": ["a", " b "]}, [("a",), ("b",)]),
        ({"sentences": [[{"raw": "a", "id": 1}, {"raw": "b", "id": 2}], []]}, [("a", "b"), ()]),
        ({"sentences": [{"raw": "a", "id": 1}, {"raw": "b", "id": 2}]}, [("a",), ("b",)]),
        ({"blip_caption": ["a", "b"], "url": ["u", "v"]}, [("a",), ("b",)]),
        ({"url": ["u", "v"]}, [(), ()]),
    ],
)
def test_columns_of_captions(
    tmp_path: Path, columns: dict[str, Any], expected: list[tuple[str, ...]]
) -> None:
    write(tmp_path / "a.parquet", {"image": pictures(2), **columns})
    assert [record.captions for record in opened(tmp_path).records] == expected


def test_columns_that_the_user_names(tmp_path: Path) -> None:
    columns = {
        "image": pictures(2),
        "mask": pictures(2, 10),
        "text": ["x", "y"],
        "Title": ["a", "b"],
        "long": ["a long", None],
        "n": [1, 2],
    }
    path = write(tmp_path / "a.parquet", columns, mask=datasets.Image())
    assert levels(opened(path)) == [0, 10]
    images = opened(path, image_column="mask", caption_columns=("title", "long"))
    assert levels(images) == [100, 110]
    assert [record.captions for record in images.records] == [("a", "a long"), ("b",)]
    wrong: dict[str, dict[str, Any]] = {
        "no column masks of data.image_column; did you mean 'mask'": {"image_column": "masks"},
        "data.image_column n holds no images: it is int64": {"image_column": "n"},
        "no column tile of data.caption_columns; did you mean": {"caption_columns": ("tile",)},
    }
    for message, options in wrong.items():
        with pytest.raises(ValueError, match=message):
            opened(path, **options)
    other = {"a": pictures(1), "b": pictures(1)}
    write(tmp_path / "b.parquet", other, a=datasets.Image(), b=datasets.Image())
    with pytest.raises(ValueError, match=r"the columns a, b hold images; name one with data.image"):
        opened(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("columns", "keys"),
    [
        ({"id": [7, 9], "file_name": ["a", "b"]}, ["7", "9"]),
        ({"id": [7, 7], "filename": ["a.png", "b.png"]}, ["a.png", "b.png"]),
        ({"id": [7, None]}, ["train/0", "train/1"]),
        ({"id": [0.5, 1.5]}, ["train/0", "train/1"]),
        ({"__key__": ["x", "y"], "id": [1, 2]}, ["x", "y"]),
    ],
)
def test_keys(tmp_path: Path, columns: dict[str, Any], keys: list[str]) -> None:
    write(tmp_path / "train.parquet", {"image": pictures(2), **columns})
    assert [record.key for record in opened(tmp_path).records] == keys


def test_labels(tmp_path: Path) -> None:
    fine = datasets.ClassLabel(names=["ant", "bee"])
    write(tmp_path / "a.parquet", {"image": pictures(2), "fine": [1, -1]}, fine=fine)
    assert [record.label for record in opened(tmp_path / "a.parquet").records] == ["bee", None]
    columns = {"image": pictures(3), "label": [" x", None, "nan"], "fine": [0, 1, 0]}
    write(tmp_path / "b.parquet", columns, fine=fine)
    images = opened(tmp_path / "b.parquet")
    assert [record.label for record in images.records] == ["x", None, None]
    assert levels(opened(tmp_path / "b.parquet", where="fine=ant")) == [0, 20]
    write(tmp_path / "c.parquet", {"image": pictures(2), "label": [3, 10]})
    assert opened(tmp_path / "c.parquet").classes == ["3", "10"]


def test_rows_without_an_image_are_missing(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", {"image": [*pictures(1), None, *pictures(1, 2)]})
    images = opened(tmp_path, max_bad_share=0.5)
    assert [record.key for record in images.records] == ["train/0", "train/2"]
    assert levels(images) == [0, 20]
    assert images.report.missing == {"train/1": "row 1 of train: no image"}
    with pytest.raises(ValueError, match=r"1 of 3 images.*row 1 of train: no image"):
        opened(tmp_path)


def test_paths_beside_the_parquet_file(tmp_path: Path) -> None:
    write_folder(tmp_path, {f"train/img/{n}.png": encoded(10 * n) for n in range(2)})
    image = [{"bytes": None, "path": f"img/{n}.png"} for n in range(3)]
    schema = datasets.Features({"image": datasets.Image()}).arrow_schema
    for name, rows in (("x", image[:1]), ("y", image[1:])):
        pq.write_table(pa.table({"image": rows}, schema), tmp_path / f"train/{name}.parquet")
    images = opened(tmp_path, max_bad_share=1)
    assert levels(images) == [0, 10]
    assert images.records[1].file == tmp_path / "train/img/1.png"
    assert images.report.missing == {"train/2": "row 2 of train: no img/2.png"}


def test_files_outside_the_set_are_read_where_allowed(tmp_path: Path) -> None:
    write_folder(tmp_path, {"x.png": encoded(10), "set/y.png": encoded(20)})
    paths = [str(tmp_path / "x.png"), "../x.png", "y.png"]
    image = [{"bytes": None, "path": path} for path in paths]
    schema = datasets.Features({"image": datasets.Image()}).arrow_schema
    pq.write_table(pa.table({"image": image}, schema), tmp_path / "set/a.parquet")
    assert levels(opened(tmp_path / "set", max_bad_share=1)) == [20]
    assert levels(opened(tmp_path / "set", allow_outside=True)) == [10, 10, 20]


def test_an_image_folder_with_its_metadata_in_parquet(tmp_path: Path) -> None:
    write(tmp_path / "metadata.parquet", {"file_name": ["b.png", "a.png"], "text": ["b", "a"]})
    write_folder(tmp_path, {"a.png": encoded(10), "b.png": encoded(20)})
    images = opened(tmp_path)
    assert [(r.key, r.captions) for r in images.records] == [("b.png", ("b",)), ("a.png", ("a",))]
    assert levels(images) == [20, 10]


def test_bytes_without_the_type_of_an_image(tmp_path: Path) -> None:
    rows = {"jpg": [encoded(30, kind="JPEG"), None], "caption": ["a", "b"], "key": ["x", "y"]}
    pq.write_table(pa.table(rows), tmp_path / "00000.parquet")  # as img2dataset writes parquet
    images = opened(tmp_path, max_bad_share=0.5)
    assert [(r.key, r.captions) for r in images.records] == [("x", ("a",))]
    assert abs(levels(images)[0] - 30) <= 1 and list(images.report.missing) == ["y"]
    pq.write_table(pa.table({"image": [{"bytes": encoded(40)}]}), tmp_path / "b.parquet")
    assert levels(opened(tmp_path / "b.parquet")) == [40]


def test_tables_without_images_are_no_set(tmp_path: Path) -> None:
    path = tmp_path / "00000.parquet"
    pq.write_table(pa.table({"url": ["u"], "caption": ["a"], "embedding": [b"12"]}), path)
    with pytest.raises(ValueError, match=r"no column of images; there are url \(string\), caption"):
        opened(path)
    write_folder(tmp_path, {"00000/1.png": encoded(10), "00000/1.txt": "a"})
    images = opened(tmp_path)  # the pictures that the table describes
    assert [record.captions for record in images.records] == [("a",)]
    path.write_bytes(b"PAR1, half of a file")
    assert len(opened(tmp_path)) == 1


def test_pictures_in_the_files_and_beside_them_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train.parquet", {"image": pictures(1)})
    write_folder(tmp_path, {"logo.png": encoded(0), "README.md": "# Set\n![logo](logo.png)\n"})
    assert len(opened(tmp_path)) == 1  # of the card
    (tmp_path / "other.png").write_bytes(encoded(0))
    with pytest.raises(ValueError, match=r"data/train.parquet and beside it, as other.png; keep"):
        opened(tmp_path)
    assert len(opened(tmp_path / "data")) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
            "run `git lfs pull`",
        ),
        (b"PAR1 and no end of the file", "train.parquet cannot be read as parquet: "),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    write_folder(tmp_path, {"train.parquet": content})
    with pytest.raises(ValueError, match=message):
        opened(tmp_path)


def test_the_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.parquet", {"image": pictures(1), "text": ["x"]})
    write(tmp_path / "b.parquet", {"image": pictures(1), "title": ["x"]})
    with pytest.raises(ValueError, match=r"/b\.parquet cannot be read as parquet: "):
        opened(tmp_path)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and no end of the file")
    with pytest.raises(ValueError, match=r"/b\.parquet cannot be read as parquet: "):
        opened(tmp_path)


def test_files_without_rows(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "b.parquet", {"image": pictures(2)}))
    pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    assert levels(opened(tmp_path)) == [0, 10]
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(ValueError, match=r"a\.parquet has no rows, so no image"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"images": [pictures(1)], "texts": ["x"]}, r"images \(list<.*struct<.*texts \(string\)"),
        ({"image": ["iVBORw0KGgo" * 50]}, r"image \(string\)"),
        ({"blob": [encoded(0)]}, r"blob \(binary\); data\.image_column names one of bytes"),
    ],
)
def test_the_columns_of_a_table_without_images_are_named(
    tmp_path: Path, columns: dict[str, Any], told: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=rf"a\.parquet: no column of images; there are {told}"):
        opened(tmp_path)
    if "blob" in columns:
        assert levels(opened(tmp_path, image_column="blob")) == [0]


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "train[1].parquet", {"image": pictures(1)})
    assert levels(opened(tmp_path)) == [0]
    write(path, {"image": pictures(2, 5)})
    assert levels(opened(tmp_path)) == [50, 60]


def test_loader_processes_get_names_of_files_not_images(tmp_path: Path) -> None:
    columns = {"image": pictures(20), "text": [str(n) for n in range(20)]}
    images = opened(write(tmp_path / "a.parquet", columns))
    sent = pickle.dumps(images)
    assert len(sent) < 20_000 and encoded(190) not in sent
    assert levels(pickle.loads(sent)) == levels(images) == [10 * n for n in range(20)]
    batches = [
        next(
            train_batches(
                images, global_batch=4, accumulate=1, rank=0, world_size=1, first_step=0, seed=0,
                workers=workers,
            )
        )[0]
        for workers in (0, 2)
    ]  # fmt: skip
    assert batches[0].captions == batches[1].captions and len(batches[0].captions) == 4
    shown = [round(float((pixels.mean() + 1) * 127.5)) for pixels in batches[1].images]
    assert [str(level // 10) for level in shown] == list(batches[1].captions)
    assert (batches[0].images == batches[1].images).all()
