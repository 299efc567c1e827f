"""The three layouts give the same shards, whatever the workers and the interruptions."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.imagenet.conftest import (
    DEVKIT,
    LAYOUTS,
    NAMES,
    SYNSETS,
    archives,
    devkit_files,
    folders,
    made,
    photo,
    train_files,
    val_files,
)
from textok.cli.main import main
from textok.config import DataConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images
from textok.datasets.imagenet import SplitSummary

real_processes = pytest.mark.usefixtures("processes")


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".build" not in path.parts and path.suffix != ".json"
    }


def opened(out: Path, split: str, size: int = 16) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(out), split=split), image_size=size)


def test_every_image_has_its_pixels_class_and_caption(reference: Path) -> None:
    for split, expected in {
        "train": {n.partition(".")[0]: (n[:9], data) for n, data in train_files().items()},
        "val": {f"{s}/{n[:-5]}": (s, data) for n, (s, data) in val_files().items()},
    }.items():
        images = opened(reference, split)
        assert images.classes == sorted(NAMES.values())
        assert {record.key: record.label for record in images.records} == {
            key: NAMES[synset] for key, (synset, _) in expected.items()
        }
        for place, record in enumerate(images.records):
            assert record.captions == (f"a photo of a {record.label}",)
            with Image.open(io.BytesIO(expected[record.key][1])) as whole:
                square = whole.resize((16, 16), Image.Resampling.LANCZOS, box=(8, 0, 53, 45))
            assert np.abs(images.read(place).astype(int) - np.asarray(square)).max() < 25
            assert np.abs(images.read(place).astype(int) - np.asarray(square)).mean() < 3
    kept = DataConfig(path=str(reference), split="val", where="class_index=1,synset=n01443537")
    assert len(open_captioned_images(kept, image_size=8)) == 2


@pytest.mark.parametrize("layout", ["archives", "kaggle"])
def test_layouts_give_the_same_bytes(layout: str, reference: Path, tmp_path: Path) -> None:
    summaries = made(LAYOUTS[layout](tmp_path / "source"), tmp_path / "out")
    assert digests(tmp_path / "out") == digests(reference)
    assert [(s.split, s.classes, s.images) for s in summaries] == [("train", 3, 6), ("val", 3, 6)]
    assert sorted(digests(reference)) == [f"{s}/{n}.tar" for s in ("train", "val") for n in SYNSETS]
    written = json.loads((tmp_path / "out" / "val" / "summary.json").read_text())
    assert (written["images"], written["classes"], written["bad"]) == (6, 3, {})


@real_processes
@pytest.mark.parametrize("workers", [1, 2])
def test_processes_give_the_same_bytes(workers: int, reference: Path, tmp_path: Path) -> None:
    made(archives(tmp_path / "source"), tmp_path / "out", workers=workers)
    assert digests(tmp_path / "out") == digests(reference)


def test_an_extracted_devkit_gives_the_labels_too(reference: Path, tmp_path: Path) -> None:
    source = archives(tmp_path / "source")
    (source / f"{DEVKIT}.tar.gz").unlink()
    for name, data in devkit_files().items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    made(source, tmp_path / "out", splits=["val"])
    val = {name: digest for name, digest in digests(reference).items() if name.startswith("val")}
    assert digests(tmp_path / "out") == val


def test_size_0_keeps_the_bytes_and_png_the_pixels(tmp_path: Path) -> None:
    source = folders(tmp_path / "source")
    made(source, tmp_path / "kept", size=0, captions=False)
    images = opened(tmp_path / "kept", "train")
    files = {name.partition(".")[0]: data for name, data in train_files().items()}
    assert {record.key: record.read_bytes() for record in images.records} == files
    assert all(record.captions == () for record in images.records)
    made(source, tmp_path / "png", encoding="png")
    lossless = opened(tmp_path / "png", "train")
    for place, record in enumerate(lossless.records):
        assert images.records[place].key == record.key
        assert (lossless.read(place) == images.read(place)).all()


def test_without_square_the_longer_side_is_left_to_the_random_crop(tmp_path: Path) -> None:
    source, out = folders(tmp_path / "source"), tmp_path / "out"
    made(source, out, square=False, encoding="png")
    wide, squares = opened(out, "train"), tmp_path / "squares"
    # 60 x 45 to a shorter side of 16: 21 x 16.
    assert {wide.open(place).size for place in range(len(wide))} == {(21, 16)}
    left, right = (wide.read(0, crop=(at, 0.5)) for at in (0.0, 1.0))
    assert (left[:, 5:] == right[:, :-5]).all() and (left != right).any()
    made(source, squares, encoding="png")
    square = opened(squares, "train").read(0).astype(int)
    centre, beside = (abs(square - pixels).mean() for pixels in (wide.read(0), left))
    assert centre < beside / 2  # the same picture, at most half a pixel apart
    with pytest.raises(ValueError, match="was made with other settings"):
        made(source, out, square=True, encoding="png")


@pytest.mark.parametrize("square", [True, False])
def test_images_can_be_resized_as_adm_does(tmp_path: Path, square: bool) -> None:
    source, out = folders(tmp_path / "source"), tmp_path / "out"
    made(source, out, resize="adm", square=square, encoding="png")
    images = opened(out, "train")
    whole = DataConfig(path=str(source / "train"), split="", resize="adm")
    expected = open_captioned_images(whole, image_size=16)
    places = {record.key.rpartition("/")[2]: i for i, record in enumerate(expected.records)}
    assert {images.open(place).size for place in range(len(images))} == {
        (16, 16) if square else (22, 16)  # 60 x 45 halved to 30 x 22, then a shorter side of 16
    }
    for place, record in enumerate(images.records):
        twin = next(at for name, at in places.items() if name.startswith(record.key.split("/")[-1]))
        shown = np.asarray(images.open(place).crop((3, 0, 19, 16)))
        assert ((images.read(place) if square else shown) == expected.read(twin)).all()
    with pytest.raises(ValueError, match="was made with other settings"):
        made(source, out, square=square, encoding="png")
    with pytest.raises(ValueError, match="size 0 keeps the files as they are: leave resize out"):
        made(source, tmp_path / "kept", size=0, resize="adm")


def test_a_build_from_before_this_setting_continues(tmp_path: Path) -> None:
    source, out = folders(tmp_path / "source"), tmp_path / "out"
    made(source, out)
    note = out / ".build" / "recipe.json"
    old = json.loads(note.read_text())
    del old["square"], old["resize"]
    note.write_text(json.dumps(old))
    before = digests(out)
    made(source, out)
    assert digests(out) == before


def test_oddities_become_rgb_and_bad_files_are_listed(tmp_path: Path) -> None:
    source = folders(tmp_path / "source")
    tench = source / "train" / "n01440764"
    (tench / "n01440764_1.JPEG").write_bytes(photo(1, kind="PNG"))
    Image.new("CMYK", (20, 30), (255, 0, 0, 0)).save(tench / "n01440764_2.JPEG", "JPEG")
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter to the right: the left half becomes the upper
    halves = Image.new("RGB", (32, 32), "black")
    halves.paste("white", (0, 0, 16, 32))
    halves.save(tench / "n01440764_4.JPEG", "JPEG", exif=turned)
    (tench / "n01440764_5.JPEG").write_bytes(photo(1)[:-100])
    (tench / "n01440764_6.JPEG").write_bytes(b"")
    with pytest.raises(BadFilesError, match=r"2 of 11 images cannot be read.*empty file"):
        made(source, tmp_path / "out", splits=["train"])
    (summary,) = made(source, tmp_path / "out", splits=["train"], max_bad_share=0.2)
    assert set(summary.bad) == {"n01440764/n01440764_5", "n01440764/n01440764_6"}
    assert "truncated" in summary.bad["n01440764/n01440764_5"]
    assert (summary.images, summary.classes) == (9, 3)
    images = opened(tmp_path / "out", "train")
    pixels = {record.key[10:]: images.read(i) for i, record in enumerate(images.records)}
    assert len(images) == 9 and all(array.shape == (16, 16, 3) for array in pixels.values())
    assert pixels["n01440764_4"][:6].min() > 200 and pixels["n01440764_4"][10:].max() < 50
    red, green, blue = pixels["n01440764_2"].reshape(-1, 3).mean(0)
    assert red < 100 and green > 120 and blue > 120  # cyan
    kept = made(source, tmp_path / "kept", splits=["train"], size=0, max_bad_share=0.2)
    assert kept[0].bad.keys() == summary.bad.keys()


CHILD = """
import sys, time
from pathlib import Path
import textok.datasets.imagenet.build as build
from textok.config.datasets import ImageNetConfig
real = build.write_shard
def slow(job):
    time.sleep(0.5)
    return real(job)
build.write_shard = slow
if __name__ == "__main__":
    source, out = map(Path, sys.argv[1:])
    config = ImageNetConfig(source=source, out=out, size=16, workers=1)
    build.build_imagenet(config, progress=False)
"""


def test_a_killed_run_continues_and_gives_the_same_bytes(reference: Path, tmp_path: Path) -> None:
    source, out = archives(tmp_path / "source"), tmp_path / "out"
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    child = subprocess.Popen([sys.executable, str(script), str(source), str(out)])
    while not list(out.glob(".build/train/*.json")):
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    first = {path: path.stat().st_mtime_ns for path in out.glob("*/*.tar")}
    assert 1 <= len(first) < 6
    (out / "train" / ".n02119789.tar.1.tmp").write_bytes(b"half")
    made(source, out)
    assert digests(out) == digests(reference)
    noted = min(first, key=lambda path: path.stat().st_mtime_ns)
    assert noted.stat().st_mtime_ns == first[noted]  # not written again


def test_only_what_is_missing_or_has_changed_is_written(tmp_path: Path) -> None:
    source, out = folders(tmp_path / "source"), tmp_path / "out"
    made(source, out)
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*.tar")}
    (out / "val" / "n01440764.tar").write_bytes(b"cut")
    (out / "train" / "n01443537.tar").unlink()
    (source / "train" / "n02119789" / "n02119789_9.JPEG").write_bytes(photo(9))
    made(source, out)
    again = {path for path, when in before.items() if path.stat().st_mtime_ns != when}
    names = {str(path.relative_to(out)) for path in again}
    assert names == {"val/n01440764.tar", "train/n01443537.tar", "train/n02119789.tar"}
    assert len(opened(out, "train")) == 7


def test_other_counts_than_imagenets_are_a_warning() -> None:
    whole = SplitSummary(split="train", classes=1000, images=1_281_166, bytes=0, bad={"a": "b"})
    assert whole.warning() == ""
    part = SplitSummary(split="val", classes=1000, images=49_999, bytes=0, bad={})
    assert part.warning() == (
        "val has 49,999 images of 1,000 classes where ImageNet has 50,000 of 1,000"
    )


def test_the_command_tells_counts_bad_files_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = folders(tmp_path / "source")
    (source / "val" / "n01440764" / "ILSVRC2012_val_00000099.JPEG").write_bytes(b"")
    words = ["data", "imagenet", str(source), str(tmp_path / "out"), "--splits", "val"]
    assert main([*words, "--size", "16"]) == 2
    assert "1 of 7 images cannot be read" in capsys.readouterr().err
    assert main([*words, "--size", "16", "--max-bad-share", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "val 6 images 3 classes 0.0 GiB 1 unreadable".split()
    assert lines[1] == "  n01440764/ILSVRC2012_val_00000099: empty file"
    assert lines[2].startswith("warning: val has 7 images of 3 classes where ImageNet has 50,000")
    assert lines[3] == str(tmp_path / "out")
    assert main([*words, "--size", "32"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
