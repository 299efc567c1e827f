"""What is known again of a set of images, and what is told when it has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder, write_tar
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.data.fingerprint import Fingerprint, fingerprint, read_fingerprint


def of(path: Path | str, **settings: str) -> Fingerprint:
    data = DataConfig(path=str(path), split="", **settings)
    return fingerprint(open_captioned_images(data, image_size=8, quiet=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {f"{name}/{i}.png": encoded(10 * i) for i, name in enumerate(("cat", "dog", "elk"))}
    texts = {f"{name}/{i}.txt": f"a {name}" for i, name in enumerate(("cat", "dog", "elk"))}
    return write_folder(tmp_path / "set", {**files, **texts})


def test_a_file_keeps_it_whole(folder: Path, tmp_path: Path) -> None:
    found = of(folder)
    assert found.keys == ["cat/0.png", "dog/1.png", "elk/2.png"]
    assert found.labels == ["cat", "dog", "elk"]
    assert found.sizes == [(folder / key).stat().st_size for key in found.keys]
    for name in ("one.gz", "two.gz"):
        found.write(tmp_path / name)
    assert read_fingerprint(tmp_path / "one.gz") == found
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert read_fingerprint(tmp_path / "none.gz") is None
    (tmp_path / "two.gz").write_bytes((tmp_path / "one.gz").read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"two\.gz: damaged \(.*\); delete it to go on"):
        read_fingerprint(tmp_path / "two.gz")


def test_where_a_set_lies_does_not_count(folder: Path, tmp_path: Path) -> None:
    before = of(folder)
    assert before.difference(of(folder.rename(tmp_path / "elsewhere"))) == ""


def add(root: Path) -> None:
    write_folder(root, {"cat/7.png": encoded(1), "dog/7.png": encoded(2)})


def say_other(root: Path) -> None:
    (root / "dog" / "1.txt").write_text("a hound")


def reclass(root: Path) -> None:
    (root / "dog").rename(root / "hound")


def repaint(root: Path) -> None:
    path = root / "elk" / "2.png"
    path.write_bytes(path.read_bytes() + b"more")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda root: (root / "cat" / "0.png").unlink(), "1 removed, first 'cat/0.png'"),
        (add, "2 added, first 'cat/7.png'"),
        (say_other, "1 with other captions, first 'dog/1.png'"),
        (reclass, "1 removed, 1 added, first 'dog/1.png'"),
        (repaint, "1 of another size in bytes, first 'elk/2.png'"),
    ],
)
def test_what_has_changed_is_counted_and_named(
    folder: Path, change: Callable[[Path], object], told: str
) -> None:
    before = of(folder)
    change(folder)
    assert before.difference(of(folder)) == told


def test_another_class_or_order_is_told(folder: Path) -> None:
    before = of(folder)
    assert (
        before.difference(replace(before, labels=["cat", "dog", None]))
        == "1 of another class, first 'elk/2.png'"
    )
    turned = Fingerprint(
        **{name: getattr(before, name)[::-1] for name in ("keys", "captions", "labels", "sizes")}
    )
    assert before.difference(turned) == "the order is another"


def test_captions_are_told_apart_by_where_one_ends(tmp_path: Path) -> None:
    rows = [["a b"], ["a", "b"], ["a", "b", ""], []]
    lines = [{"file_name": f"{i}.png", "captions": texts} for i, texts in enumerate(rows)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    files = {f"{i}.png": encoded(i) for i in range(4)}
    digests = of(write_folder(tmp_path, {**files, "metadata.jsonl": text})).captions
    assert digests[1] == digests[2]  # an empty caption is none
    assert len({*digests}) == 3


def test_the_weights_of_a_mixture_count_and_its_places_do_not(folder: Path, tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "other.tar", [("0.png", encoded(3)), ("0.txt", "a fox")])
    before = of(f"{folder}=3 {shard}=1")
    assert before.sizes[-1] == len(encoded(3))
    (tmp_path / "new").mkdir()
    folder, shard = (path.rename(tmp_path / "new" / path.name) for path in (folder, shard))
    assert before.difference(of(f"{folder}=0.75 {shard}=0.25")) == ""
    told = before.difference(of(f"{folder}=1 {shard}=1"))
    assert told == "the mixture was set=0.75 other=0.25 and is set=0.5 other=0.5"
