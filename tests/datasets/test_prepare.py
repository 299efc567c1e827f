"""Prepared sets: equal pictures removed, splits by key, padded or cropped, continued."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import array_bytes, encoded, write_folder, write_tar
from textok.cli.main import main
from textok.config import DataConfig
from textok.config.datasets import PrepareConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images
from textok.data.pixels import adm_to_square
from textok.datasets.names import file_names
from textok.datasets.prepare import Prepared, prepare_data
from textok.datasets.prepare.plan import Shares


def opened(path: Path, split: str = "train", **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), split=split, **options), image_size=8)


def prepared(source: Path, out: Path, **options: object) -> dict[str, int]:
    settings = {"size": 8, "val": 0.0, "test": 0.0, **options}
    return prepare(DataConfig(path=str(source)), out, **settings).images


def prepare(data: DataConfig, out: Path, *, workers: int = 0, **settings: Any) -> Prepared:
    config = PrepareConfig(data=replace(data, workers=workers), out=out, **settings)
    return prepare_data(config, progress=False)


def rows(out: Path, split: str = "train") -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / split / "metadata.jsonl").open()]


def digests(out: Path) -> dict[str, str]:
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty grey pictures with a caption each; 39.png has the bytes of 05.png."""
    files: dict[str, bytes | str] = {f"{i:02d}.png": encoded(5 * i) for i in range(39)}
    files |= {f"{i:02d}.txt": f"number {i}" for i in range(40)} | {"39.png": encoded(25)}
    return write_folder(tmp_path / "photos", files)


def test_the_split_is_the_hash_of_the_key(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    counts = prepared(photos, out, val=0.2, test=0.3)
    expected: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for key in (f"{i:02d}.png" for i in range(39)):
        drawn = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
        expected["test" if drawn < 0.3 else "val" if drawn < 0.5 else "train"].append(key)
    assert {split: [row["key"] for row in rows(out, split)] for split in expected} == expected
    assert counts == {split: len(keys) for split, keys in expected.items()}
    assert all(expected.values())
    for split, keys in expected.items():
        images = opened(out, split)
        assert [record.key for record in images.records] == keys
        for place, key in enumerate(keys):
            assert images.records[place].captions == (f"number {int(key[:2])}",)
            assert images.read(place)[0, 0, 0] == 5 * int(key[:2])


def test_the_stated_shares_of_a_known_key() -> None:
    # sha256("15970.jpg") begins with these digits; see the rule above.
    drawn = int(hashlib.sha256(b"15970.jpg").hexdigest()[:8], 16) / 2**32
    assert Shares(val=0.0, test=drawn + 1e-9).split("15970.jpg") == "test"
    assert Shares(val=1e-9, test=drawn).split("15970.jpg") == "val"
    assert Shares(val=0.0, test=drawn).split("15970.jpg") == "train"


def test_of_equal_bytes_the_first_by_key_is_kept(photos: Path, tmp_path: Path) -> None:
    result = prepare(
        DataConfig(path=str(photos)), tmp_path / "out", size=8, val=0.2, test=0.3, workers=0
    )
    assert result.duplicates == 1
    out, splits = tmp_path / "out", ("train", "val", "test")
    keys = [row["key"] for split in splits for row in rows(out, split)]
    assert "05.png" in keys and "39.png" not in keys and len(keys) == 39


def test_equal_keys_in_several_splits_are_several_pictures(tmp_path: Path) -> None:
    files = {"train/a.png": encoded(1), "test/a.png": encoded(2)[:40], "train/b.png": encoded(3)}
    data = DataConfig(path=str(write_folder(tmp_path / "s", files)), max_bad_share=0.5)
    result = prepare(data, tmp_path / "out", size=8, workers=0)
    assert list(result.bad) == ["test/a.png"] and result.images == {"train": 2}


@pytest.mark.parametrize("size", [(20, 10), (10, 20), (21, 9)])
def test_pad_shows_all_on_white_and_crop_the_middle(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    source = write_folder(tmp_path / "s", {"a.png": array_bytes(pixels)})
    for fit in ("pad", "crop"):
        data = DataConfig(path=str(source), fit=fit)  # type: ignore[arg-type]
        out = tmp_path / fit
        prepare(data, out, size=max(size), val=0, test=0, workers=0)
        image = np.asarray(Image.open(out / "train/a.png"))
        assert image.shape == (max(size), max(size), 3)
        whole = np.full_like(image, 255)
        left, top = (max(size) - width) // 2, (max(size) - height) // 2
        whole[top : top + height, left : left + width] = 0
        assert (image == (whole if fit == "pad" else 0)).all()
        # Reading the source with the same setting shows the same.
        shown = open_captioned_images(data, image_size=max(size)).read(0)
        assert (shown == image).all()


def test_a_set_is_resized_as_named_and_not_continued_otherwise(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    source = write_folder(tmp_path / "s", {"a.png": array_bytes(pixels)})
    out = tmp_path / "out"
    adm = DataConfig(path=str(source), resize="adm")
    prepare(adm, out, size=8, val=0, test=0)
    image = np.asarray(Image.open(out / "train/a.png"))
    assert (image == open_captioned_images(adm, image_size=8).read(0)).all()
    assert (image == adm_to_square(Image.fromarray(pixels), 8)).all()
    with pytest.raises(ValueError, match="was made with another resize"):
        prepare(DataConfig(path=str(source)), out, size=8, val=0, test=0)
    # One from before this setting was resized by Lanczos.
    note = out / ".build" / "prepare.json"
    note.write_text(
        json.dumps({k: v for k, v in json.loads(note.read_text()).items() if k != "resize"})
    )
    prepare(DataConfig(path=str(source)), out, size=8, val=0, test=0)


def test_own_splits_are_kept_and_test_goes_before_train(tmp_path: Path) -> None:
    files = {
        "train/a.png": encoded(1),
        "train/b.png": encoded(2),
        "validation/c.png": encoded(3),
        "test/z.png": encoded(1),
    }
    out = tmp_path / "out"
    counts = prepared(write_folder(tmp_path / "s", files), out, val=0.5)
    assert counts == {"train": 1, "val": 1, "test": 1}
    assert [row["key"] for row in rows(out)] == ["b.png"]


def test_captions_label_and_other_fields_stay(tmp_path: Path) -> None:
    members = [
        ("0.png", encoded(9)),
        ("0.json", '{"captions": ["a", "b"], "label": "cat", "names": ["c", "d"], "n": 3}'),
        ("1.png", encoded(8)),
        ("1.json", '{"caption": "one", "empty": "", "none": null}'),
        ("2.png", encoded(7)),
    ]
    (tmp_path / "s").mkdir()
    write_tar(tmp_path / "s" / "x.tar", members)
    prepared(tmp_path / "s", tmp_path / "out")
    assert rows(tmp_path / "out") == [
        {"file_name": "x_0.png", "key": "x/0", "captions": ["a", "b"], "label": "cat",
         "names": ["c", "d"], "n": 3},
        {"file_name": "x_1.png", "key": "x/1", "caption": "one"},
        {"file_name": "x_2.png", "key": "x/2"},
    ]  # fmt: skip
    assert [record.key for record in opened(tmp_path / "out", where="names=d").records] == ["x/0"]


def test_keys_become_safe_and_different_file_names() -> None:
    names = file_names(["a/b.png", "a_b.jpg", "A_B.gif", "ü.png", ".x.png", "v1.5", "q" * 300])
    assert names["ü.png"] == "_" and names[".x.png"] == "_x" and names["v1.5"] == "v1.5"
    several = [names[key] for key in ("a/b.png", "a_b.jpg", "A_B.gif")]
    assert len({name.casefold() for name in several}) == 3
    assert all(name.casefold().startswith("a_b-") for name in several)
    assert len(names["q" * 300]) == 113


def test_a_stopped_run_is_continued_to_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    prepared(photos, tmp_path / "whole", val=0.2, test=0.3)
    out = tmp_path / "out"
    prepared(photos, out, val=0.2, test=0.3)
    gone, kept = sorted((out / "train").glob("*.png"))[:2]
    stamp = kept.stat().st_mtime_ns
    gone.unlink()
    (out / "train/.x.png.1.tmp").write_bytes(b"half")
    (out / "train/metadata.jsonl").unlink()
    prepared(photos, out, val=0.2, test=0.3)
    assert digests(out) == digests(tmp_path / "whole")
    assert kept.stat().st_mtime_ns == stamp


def test_several_processes_give_the_same(photos: Path, tmp_path: Path) -> None:
    prepared(photos, tmp_path / "one")
    prepared(photos, tmp_path / "two", workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_unreadable_pictures_are_counted(photos: Path, tmp_path: Path) -> None:
    (photos / "07.png").write_bytes(encoded(35)[:40])
    with pytest.raises(BadFilesError, match=r"1 of 39 images .* 07\.png"):
        prepared(photos, tmp_path / "out")
    settings = DataConfig(path=str(photos), max_bad_share=0.1)
    result = prepare(settings, tmp_path / "out", size=8, val=0, test=0, workers=0)
    assert list(result.bad) == ["07.png"] and result.images == {"train": 38}
    assert "07.png" not in [row["key"] for row in rows(tmp_path / "out")]


def test_the_command_reads_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "id,year,name\n7,2011,Blue Shirt\n8,2012,Red Shoe, new\n9,2012,gone\n"
    files = {"styles.csv": text, "images/7.jpg": encoded(1), "images/8.jpg": encoded(2)}
    write_folder(tmp_path / "s", files)
    words = ["data", "prepare", str(tmp_path / "s"), str(tmp_path / "out"), "--size", "8",
             "--fit", "pad", "--table", "styles.csv", "--image-column", "id",
             "--caption-columns", "name", "--images", "images", "--val", "0", "--test", "0",
             "--workers", "0", "--max-bad-share", "0.5"]  # fmt: skip
    assert main(words) == 0
    assert "1 missing: 9 (styles.csv line 4)" in capsys.readouterr().out
    assert rows(tmp_path / "out") == [
        {"file_name": "7.png", "key": "7.jpg", "caption": "Blue Shirt", "id": "7", "year": "2011"},
        {"file_name": "8.png", "key": "8.jpg", "caption": "Red Shoe, new", "id": "8",
         "year": "2012"},
    ]  # fmt: skip


def test_places_that_cannot_be(photos: Path, tmp_path: Path) -> None:
    own = write_folder(tmp_path / "own", {"mine.txt": "x"})
    with pytest.raises(ValueError, match="is not a prepared set of textok"):
        prepared(photos, own)
    assert [path.name for path in own.iterdir()] == ["mine.txt"]
    for inside in (photos, photos / "out"):
        with pytest.raises(ValueError, match="lies in the set"):
            prepared(photos, inside)
    prepared(photos, tmp_path / "out")
    with pytest.raises(ValueError, match="with another size; choose"):
        prepared(photos, tmp_path / "out", size=16)
    (photos / "00.txt").write_text("another caption")
    with pytest.raises(ValueError, match="with another source; choose"):
        prepared(photos, tmp_path / "out")
    with pytest.raises(ValueError, match="nothing is left for train"):
        prepared(photos, tmp_path / "new", val=0.5, test=0.5)
    assert not (tmp_path / "new").exists()
