"""Exported sets: read again they are the same, byte for byte, and other programs read them."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import encoded, write_folder, write_tar
from textok.cli.main import main
from textok.config import DataConfig
from textok.config.datasets import ExportConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images
from textok.data.detect import own_splits
from textok.datasets.export import Exported, export_data

FORMATS = ("hf", "webdataset", "folder")
pytestmark = pytest.mark.usefixtures("hf_cache")


def opened(path: Path | str, split: str = "train", **options: Any) -> CaptionedImages:
    return open_captioned_images(
        DataConfig(path=str(path), split=split, **options), image_size=8, quiet=True
    )


def export(source: Path, out: Path, to: str, *, data: Any = None, **options: Any) -> Exported:
    config = DataConfig(path=str(source), **(data or {}))
    return export_data(ExportConfig(data=config, out=out, to=to, **options), progress=False)  # type: ignore[arg-type]


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.endswith(".index.json")
    }


ROWS = [
    {"file_name": "a.b/one two.png", "captions": ["a cat", "the cat, again"], "label": "cat"},
    {"file_name": "c.jpg", "caption": "a  dog\nin two lines", "label": "dog", "n": 3, "ok": True},
    {"file_name": "d.webp", "n": 4, "tags": ["x", "y"], "mark": 0.5, "image": "d"},
    {"file_name": "C.png", "caption": "ünïcode 猫", "n": "five", "tags": "z", "key": "own key"},
    {"file_name": "e.gif", "caption": "e", "label": "cat", "mark": 2},
]
KINDS = ("PNG", "JPEG", "WEBP", "PNG", "GIF")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five pictures with metadata in train, two in validation."""
    files: dict[str, bytes | str] = {
        f"train/{row['file_name']}": encoded(10 * n, kind=kind)
        for n, (row, kind) in enumerate(zip(ROWS, KINDS, strict=True))
    }
    files["train/metadata.jsonl"] = "\n".join(map(json.dumps, ROWS))
    files |= {f"validation/{n}.png": encoded(100 + n) for n in range(2)}
    files["validation/metadata.csv"] = "file_name,caption\n0.png,zero\n1.png,one\n"
    return write_folder(tmp_path / "source", files)


@pytest.mark.parametrize("to", FORMATS)
def test_what_is_read_again_is_the_same(source: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / "out"
    exported = export(source, out, to, shard_images=2)
    assert [(split.name, split.images) for split in exported.splits] == [("train", 5), ("val", 2)]
    assert [split.shards for split in exported.splits] == [3, 1]
    assert own_splits(DataConfig(path=str(out))) == ("train", "val")
    for split in ("train", "val"):
        before, after = opened(source, split).records, opened(out, split).records
        assert [r.read_bytes() for r in after] == [r.read_bytes() for r in before]
        assert [r.label for r in after] == [r.label for r in before]
        lines = [tuple(" ".join(c.split()) for c in r.captions) for r in before]
        exact = [r.captions for r in before]
        assert [r.captions for r in after] == (lines if to == "webdataset" else exact)
        keys = [r.key for r in after]
        if to != "webdataset":
            assert keys == [r.key for r in before]
    if to == "webdataset":  # SHARD/NAME: no dots, and equal names told apart
        assert [key.partition("-")[0] for key in [r.key for r in opened(out).records]] == [
            *("00000/a_b_one_two", "00000/c", "00001/d", "00001/own_key", "00002/e")
        ]
        assert opened(out, where="key=00000/c").records[0].label == "dog"
    numbers = {
        "n=3": ["c"],
        "ok=true": ["c"],
        "tags=x": ["d"],
        "tags=z": ["own"],
        "n=five": ["own"],
    }
    numbers |= {"mark=0.5": ["d"]}
    for where, names in numbers.items():
        found = [
            r.key.rpartition("/")[2][: len(names[0])] for r in opened(out, where=where).records
        ]
        assert found == names, where


@pytest.mark.parametrize("to", FORMATS)
def test_a_set_without_splits_becomes_train(tmp_path: Path, to: str) -> None:
    files = {f"x/{n}.png": encoded(n) for n in range(3)} | {"y/0.png": encoded(9), "y/0.txt": "a"}
    export(write_folder(tmp_path / "s", files), tmp_path / "out", to)
    records = opened(tmp_path / "out").records
    assert [record.label for record in records] == ["x", "x", "x", "y"]
    assert [record.captions for record in records] == [(), (), (), ("a",)]
    with pytest.raises(ValueError, match=r"splits val: .* has no splits; all of it becomes train"):
        export(tmp_path / "s", tmp_path / "other", to, splits=("val",))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_splits_and_where_choose(source: Path, tmp_path: Path, to: str) -> None:
    exported = export(source, tmp_path / "out", to, splits=("validation",))
    assert [(split.name, split.images) for split in exported.splits] == [("val", 2)]
    export(source, tmp_path / "cats", to, splits=("train",), data={"where": "label=cat"})
    assert {record.label for record in opened(tmp_path / "cats").records} == {"cat"}
    with pytest.raises(ValueError, match="has no test; there are train, val"):
        export(source, tmp_path / "none", to, splits=("test",))


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_command_continues_to_the_same_bytes(
    source: Path, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(source, tmp_path / "whole", to, shard_images=2)
    out = tmp_path / "out"
    stop_after(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        export(source, out, to, shard_images=2)
    monkeypatch.undo()
    first = {path: path.stat().st_mtime_ns for path in _pictures_or_shards(out)}
    assert first
    assert not list(out.rglob("*.tmp"))
    (out / "data" if to == "hf" else out / "train").joinpath(".half.tmp").write_bytes(b"half")
    export(source, out, to, shard_images=2)
    assert digests(out) == digests(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in first} == first
    before = digests(out)
    export(source, out, to, shard_images=2)
    assert digests(out) == before


def stop_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the export when it reads one picture more."""
    from textok.data.records import Record

    read: Callable[[Record], bytes] = Record.read_bytes
    left = [count]

    def read_bytes(record: Record) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return read(record)

    monkeypatch.setattr(Record, "read_bytes", read_bytes)


def _pictures_or_shards(out: Path) -> list[Path]:
    return [
        path
        for path in out.rglob("*")
        if path.is_file() and path.parent.name in ("data", "train", "val")
    ]


@pytest.mark.parametrize("to", FORMATS)
def test_unreadable_pictures_are_left_out_and_counted(tmp_path: Path, to: str) -> None:
    files = {f"{n}.png": encoded(n) for n in range(4)} | {"1.png": b"no picture", "2.png": b""}
    source = write_folder(tmp_path / "s", files)
    with pytest.raises(BadFilesError, match=r"of 4 images.*train/1.png \(no known image format\)"):
        export(source, tmp_path / "out", to)
    data = {"max_bad_share": 0.5}
    exported = export(source, tmp_path / "out", to, data=data)
    assert exported.splits[0].bad == {"1.png": "no known image format", "2.png": "empty file"}
    assert exported.splits[0].images == 2
    assert [r.read_bytes() for r in opened(tmp_path / "out").records] == [encoded(0), encoded(3)]


def test_the_suffix_is_that_of_the_bytes(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "s", {"a.png": encoded(1, kind="JPEG")})
    export(source, tmp_path / "out", "folder")
    assert (tmp_path / "out/train/a.jpg").read_bytes() == encoded(1, kind="JPEG")
    assert opened(tmp_path / "out").records[0].key == "a.png"


def test_members_of_a_shard(source: Path, tmp_path: Path) -> None:
    export(source, tmp_path / "out", "webdataset")
    with tarfile.open(tmp_path / "out/train/00000.tar") as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
        assert {(m.mtime, m.uid, m.uname) for m in tar} == {(0, 0, "")}
    assert list(members)[:3] == ["a_b_one_two.png", "a_b_one_two.json", "a_b_one_two.txt"]
    assert members["a_b_one_two.txt"] == b"a cat\nthe cat, again"
    told = json.loads(members["a_b_one_two.json"])
    assert told == {"key": "a.b/one two.png", "captions": ["a cat", "the cat, again"],
                    "label": "cat"}  # fmt: skip
    assert "d.txt" not in members and "d.json" in members


def test_datasets_loads_what_is_exported_for_the_hub(source: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    export(source, tmp_path / "out", "hf", shard_images=2)
    names = [path.name for path in sorted((tmp_path / "out/data").iterdir())]
    assert names == [
        *(f"train-0000{n}-of-00003.parquet" for n in range(3)),
        "validation-00000-of-00001.parquet",
    ]
    loaded = datasets.load_dataset(str(tmp_path / "out"))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 5, "validation": 2}
    train = loaded["train"]
    assert train.features["image"] == datasets.Image()
    assert train.features["label"] == datasets.ClassLabel(names=["cat", "dog"])
    assert train["image"][1].size == (8, 8)
    assert train.remove_columns("image")[:] == {
        "key": ["a.b/one two.png", "c.jpg", "d.webp", "own key", "e.gif"],
        "captions": [["a cat", "the cat, again"], ["a  dog\nin two lines"], None,
                     ["ünïcode 猫"], ["e"]],
        "label": [0, 1, None, None, 0],
        "n": [None, "3", "4", "five", None],
        "ok": [None, True, None, None, None],
        "tags": [None, None, ["x", "y"], ["z"], None],
        "mark": [None, None, 0.5, None, 2.0],
    }  # fmt: skip
    card = (tmp_path / "out/README.md").read_text()
    assert "num_examples: 5" in card and "path: data/validation-*" in card
    folder = tmp_path / "folder"
    export(source, folder, "folder", splits=("val",))
    loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), split="validation")
    assert loaded["caption"][:] == ["zero", "one"]


def test_parquet_and_shards_are_sources_too(source: Path, tmp_path: Path) -> None:
    paths = [source]
    for number, to in enumerate(("hf", "folder", "hf", "webdataset", "hf")):
        paths.append(tmp_path / str(number))
        export(paths[-2], paths[-1], to)
    for path in paths[1:]:
        before, after = opened(source).records, opened(path).records
        assert [r.read_bytes() for r in after] == [r.read_bytes() for r in before]
        assert [r.label for r in after] == [r.label for r in before]
    assert digests(paths[1] / "data") == digests(paths[3] / "data")


def test_places_that_cannot_be(source: Path, tmp_path: Path) -> None:
    own = write_folder(tmp_path / "own", {"mine.txt": "x"})
    with pytest.raises(ValueError, match="is not an exported set of textok"):
        export(source, own, "folder")
    assert [path.name for path in own.iterdir()] == ["mine.txt"]
    for inside in (source, source / "out"):
        with pytest.raises(ValueError, match="lies in the set that is read"):
            export(source, inside, "folder")
    export(source, tmp_path / "out", "folder")
    with pytest.raises(ValueError, match="was made with another format; choose another folder"):
        export(source, tmp_path / "out", "webdataset")
    (source / "validation/0.png").write_bytes(encoded(5, kind="JPEG"))
    with pytest.raises(ValueError, match="was made with another source; choose another folder"):
        export(source, tmp_path / "out", "folder")
    with pytest.raises(ValueError, match="is a mixture: export one set at a time"):
        export(Path(f"{source}=1 {own}=1"), tmp_path / "new", "folder")


def test_without_the_library(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textok.data.hub_set.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"the format hf .*: pip install 'textok\[hf\]'"):
        export(source, tmp_path / "out", "hf")
    assert not (tmp_path / "out").exists()
    assert export(source, tmp_path / "out", "webdataset").splits[0].images == 5


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = [("0.png", encoded(9)), ("0.json", '{"caption": "a", "label": "x"}'), ("1.png", b"")]
    (tmp_path / "s").mkdir()
    write_tar(tmp_path / "s" / "x.tar", members)  # type: ignore[arg-type]
    words = ["data", "export", str(tmp_path / "s"), str(tmp_path / "out"), "--to", "folder"]
    assert main([*words, "--max-bad-share", "0.5"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["train", "1", "images", "0.0", "MiB", "1", "unreadable"]
    assert said[1:] == ["  x/1: empty file", str(tmp_path / "out")]
    assert main([*words[:-1], "zip"]) == 2
    assert "to: 'zip' is not one of hf, webdataset, folder" in capsys.readouterr().err
    assert main([*words, "--shard-images", "0"]) == 2
    assert "shard_images is 0" in capsys.readouterr().err
