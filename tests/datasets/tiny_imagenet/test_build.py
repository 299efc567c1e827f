"""Tiny ImageNet from its zip and its folder, on three classes of four pictures."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import array_bytes, write_folder
from textok.cli.main import main
from textok.config import DataConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images
from textok.datasets.tiny_imagenet import build, build_tiny_imagenet
from textok.datasets.tiny_imagenet.captions import captions_of, layout, with_article
from textok.datasets.tiny_imagenet.source import ObjectClass, Picture, class_labels
from textok.evaluate.captions import captions_by_key, usable_modes

WNIDS = ("n01443537", "n02012849", "n03126707")
NAMES = {"n01443537": "goldfish, Carassius auratus", "n02012849": "crane", "n03126707": "crane"}


def jpeg(level: int) -> bytes:
    return array_bytes(np.full((64, 64, 3), level, dtype=np.uint8), "JPEG")


def published() -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {
        "wnids.txt": "\n".join(reversed(WNIDS)) + "\n",
        "words.txt": "n00001740\tentity\n" + "".join(f"{w}\t{n}\n" for w, n in NAMES.items()),
        "test/images/test_0.JPEG": jpeg(0),
    }
    rows = []
    for place, wnid in enumerate(WNIDS):
        for i in range(4):
            files[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = jpeg(20 * place + i)
        boxes = [f"{wnid}_{i}.JPEG\t0\t0\t15\t{15 + i}\n" for i in range(4)]
        files[f"train/{wnid}/{wnid}_boxes.txt"] = "".join(boxes)
        files[f"val/images/val_{place}.JPEG"] = jpeg(200 + place)
        rows.append(f"val_{place}.JPEG\t{wnid}\t0\t0\t63\t63\n")
    files["val/val_annotations.txt"] = "".join(reversed(rows))
    return files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "source", published())


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted(published().items(), reverse=True):
            archive.writestr(f"tiny-imagenet-200/{name}", content)
        archive.writestr("__MACOSX/tiny-imagenet-200/._wnids.txt", "x")
    return path


def digests(out: Path) -> dict[str, str]:
    files = [path for path in out.rglob("*") if path.is_file()]
    kept = [path for path in files if not path.name.endswith(".index.json")]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept
    }


def opened(out: Path, split: str, where: str = "") -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(out), split=split, where=where), image_size=64)


def test_zip_and_folder_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    summaries = build_tiny_imagenet(folder, tmp_path / "a", progress=False)
    build_tiny_imagenet(zipped(tmp_path / "t.zip"), tmp_path / "b", progress=False)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert [(s.split, s.images, s.classes) for s in summaries] == [
        ("train", 9, 3),
        ("val", 3, 3),  # one of four: a tenth, but at least one
        ("test", 3, 3),
    ]


def test_pictures_keep_their_bytes_and_each_is_in_one_split(folder: Path, tmp_path: Path) -> None:
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    found = {}
    for split in ("train", "val", "test"):
        for record in opened(tmp_path / "out", split).records:
            name = record.key.rpartition("/")[2]
            assert name not in found
            found[name] = record.read_bytes()
    source = {Path(n).stem: c for n, c in published().items() if n.endswith(".JPEG")}
    del source["test_0"]
    assert found == source


def test_fields_can_be_asked_for(folder: Path, tmp_path: Path) -> None:
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    chosen = opened(tmp_path / "out", "train", "place=upper left,size=small,wnid=n01443537")
    assert len(chosen) == 3
    assert chosen.classes == ["goldfish"]
    assert len(opened(tmp_path / "out", "test", "names=Carassius auratus,size=close-up")) == 1
    assert opened(tmp_path / "out", "test").classes == [
        "crane (bird)",
        "crane (lifting tackle)",
        "goldfish",
    ]


def test_plain_captions_are_of_the_class_alone(folder: Path, tmp_path: Path) -> None:
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    records = opened(tmp_path / "out", "val").records
    assert usable_modes(["true", "plain"], records) == ["true", "plain"]
    plain = captions_by_key("plain", records)
    assert sorted(plain.values()) == [
        "a photo of a crane (bird)",
        "a photo of a crane (lifting tackle)",
        "a photo of a goldfish",
    ]
    assert all("upper left" in caption for caption in captions_by_key("true", records).values())


def test_a_stopped_run_is_continued(folder: Path, tmp_path: Path) -> None:
    build_tiny_imagenet(folder, tmp_path / "whole", progress=False)
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    kept = tmp_path / "out/train/train-00.tar"
    before = kept.stat().st_mtime_ns
    (tmp_path / "out/test/test-00.tar").unlink()  # as if killed before it was moved into place
    (tmp_path / "out/test/.test-00.tar.7.tmp").write_bytes(b"half")
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    assert kept.stat().st_mtime_ns == before
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_changed_source_is_written_again(folder: Path, tmp_path: Path) -> None:
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    text = (folder / "words.txt").read_text().replace("goldfish", "gold fish")
    (folder / "words.txt").write_text(text)
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    assert "gold fish" in opened(tmp_path / "out", "train").classes


def test_shards_of_more_images_of_before_are_deleted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SHARD_IMAGES", 3)
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    assert len(opened(tmp_path / "out", "train")) == 9  # and writes the indices of three shards
    for i in (0, 1):
        (folder / f"train/{WNIDS[0]}/images/{WNIDS[0]}_{i}.JPEG").unlink()
        boxes = folder / f"train/{WNIDS[0]}/{WNIDS[0]}_boxes.txt"
        boxes.write_text("".join(boxes.read_text().splitlines(keepends=True)[1:]))
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    assert len(opened(tmp_path / "out", "train")) == 7
    (folder / f"train/{WNIDS[0]}/images/{WNIDS[0]}_2.JPEG").unlink()
    boxes.unlink()
    build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    build_tiny_imagenet(folder, tmp_path / "new", progress=False)
    assert digests(tmp_path / "out") == digests(tmp_path / "new")


def test_equal_names_in_several_classes_are_several_images(folder: Path, tmp_path: Path) -> None:
    for wnid in WNIDS:
        boxes = folder / f"train/{wnid}/{wnid}_boxes.txt"
        boxes.write_text(boxes.read_text().replace(f"{wnid}_", "a.b"))
        for i in range(4):
            image = folder / f"train/{wnid}/images/{wnid}_{i}.JPEG"
            image.rename(image.with_name(f"a.b{i}.JPEG"))
    (summary, *_) = build_tiny_imagenet(folder, tmp_path / "out", progress=False)
    assert (summary.images, summary.without_box) == (9, 0)
    keys = {
        record.key
        for split in ("train", "val")
        for record in opened(tmp_path / "out", split).records
    }
    assert {key.rpartition("/")[2] for key in keys} == {
        f"{w}_a_b{i}" for w in WNIDS for i in range(4)
    }


def test_the_set_may_lie_some_folders_down_and_hold_dead_links(
    folder: Path, tmp_path: Path
) -> None:
    build_tiny_imagenet(folder, tmp_path / "whole", progress=False)
    deep = tmp_path / "down" / "tiny" / "imagenet"
    deep.parent.mkdir(parents=True)
    shutil.move(folder, deep)
    (deep / "readme").symlink_to(tmp_path / "nowhere")
    build_tiny_imagenet(tmp_path / "down", tmp_path / "out", progress=False)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_lost_pictures_are_counted(folder: Path, tmp_path: Path) -> None:
    (folder / f"train/{WNIDS[0]}/images/{WNIDS[0]}_1.JPEG").write_bytes(jpeg(1)[:300])
    (folder / f"train/{WNIDS[1]}/images/{WNIDS[1]}_2.JPEG").unlink()
    (folder / f"train/{WNIDS[2]}/{WNIDS[2]}_boxes.txt").unlink()
    with pytest.raises(BadFilesError, match="1 of 15 images cannot be read"):
        build_tiny_imagenet(folder, tmp_path / "out", max_bad_share=0.05, progress=False)
    summaries = build_tiny_imagenet(folder, tmp_path / "out", max_bad_share=0.2, progress=False)
    assert [name for s in summaries for name in s.bad] == [f"{WNIDS[0]}_1"]
    assert [name for s in summaries for name in s.missing] == [f"{WNIDS[1]}_2.JPEG"]
    assert sum(s.without_box for s in summaries) == 4
    stored = json.loads((tmp_path / "out/train/summary.json").read_text())
    assert stored["missing"] == [f"{WNIDS[1]}_2.JPEG"]


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("wnids.txt", "has no wnids.txt"),
        ("words.txt", "has no words.txt"),
        ("val/val_annotations.txt", "has no val/val_annotations.txt"),
        ("val/images", "no images in val/images"),
        ("train/n02012849", "no images in train/n02012849/images"),
    ],
)
def test_what_is_missing_is_named(
    folder: Path,
    tmp_path: Path,
    gone: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert main(["data", "tiny-imagenet", str(folder), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_foreign_folders_and_damaged_zips_are_refused(folder: Path, tmp_path: Path) -> None:
    own = write_folder(tmp_path / "own", {"mine.txt": "x"})
    with pytest.raises(ValueError, match="is not a Tiny ImageNet of textok"):
        build_tiny_imagenet(folder, own, progress=False)
    assert [path.name for path in own.iterdir()] == ["mine.txt"]
    cut = tmp_path / "cut.zip"
    cut.write_bytes(zipped(tmp_path / "whole.zip").read_bytes()[:2000])
    with pytest.raises(ValueError, match="no whole zip file"):
        build_tiny_imagenet(cut, tmp_path / "out", progress=False)


def test_layout_of_boxes() -> None:
    assert words_of((0, 0, 15, 15)) == ("small", "upper left")  # 1/16 of the picture
    assert words_of((0, 0, 63, 63)) == ("close-up", "center")
    assert words_of((32, 0, 63, 63)) == ("large", "right")  # 1/2, middle at 0.75
    assert words_of((16, 40, 47, 63)) == ("medium-sized", "bottom")  # 768 of 4,096 pixels: 0.19


def words_of(box: tuple[int, int, int, int]) -> tuple[str, str]:
    seen = layout(box, 64, 64)
    return seen.size, seen.place


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("goldfish", "a goldfish"),
        ("orange", "an orange"),
        ("hourglass", "an hourglass"),
        ("unicycle", "a unicycle"),
        ("European fire salamander", "a European fire salamander"),
        ("umbrella", "an umbrella"),
        ("sunglasses", "sunglasses"),
        ("school bus", "a school bus"),
        ("albatross", "an albatross"),
        ("king of beasts", "a king of beasts"),
        ("Danaus plexippus", "a Danaus plexippus"),
        ("ice cream", "ice cream"),
    ],
)
def test_articles(name: str, expected: str) -> None:
    assert with_article(name) == expected


def test_captions_without_a_box_or_with_one_name() -> None:
    one = ObjectClass(wnid="n1", label="ox", names=("ox",))
    captions = captions_of(Picture(path="a/n1_0.JPEG", of=one, box=None), None)
    assert captions[0] == "a photo of an ox"
    assert 4 <= len(captions) <= 6
    assert len(set(captions)) == len(captions)


def test_labels_that_coincide() -> None:
    names = {"n9": ("bat", "club"), "n8": ("Bat",), "n7": ("ox",)}
    assert class_labels(names) == {"n9": "bat (n9)", "n8": "Bat (n8)", "n7": "ox"}
