from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import encoded, noise, write_tar
from textok.cli.main import main
from textok.config import DataConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images, tar_cache
from textok.data.detect import own_splits
from textok.data.shards import find_shards


def opened(path: Path | str, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), **options), image_size=8)


def shard(path: Path, first: int) -> Path:
    """Two samples as img2dataset writes them."""
    members: list[tuple[str, bytes | str]] = []
    for number in (first, first + 1):
        facts = {"caption": f"number {number}", "width": number, "exif": {"a": 1}}
        members += [
            (f"{number:05d}.jpg", encoded(10 * number, kind="JPEG")),
            (f"{number:05d}.txt", f"number {number}"),
            (f"{number:05d}.json", json.dumps(facts)),
            (f"{number:05d}.cls", str(number % 2)),
        ]
    return write_tar(path, members)


def test_images_captions_labels_and_fields_are_found(tmp_path: Path) -> None:
    shard(tmp_path / "00000.tar", 0)
    shard(tmp_path / "00001.tar", 2)
    images = opened(tmp_path)
    assert [(r.key, r.captions, r.label) for r in images.records] == [
        ("00000/00000", ("number 0",), "0"),
        ("00000/00001", ("number 1",), "1"),
        ("00001/00002", ("number 2",), "0"),
        ("00001/00003", ("number 3",), "1"),
    ]
    assert images.classes == ["0", "1"]
    for number in (3, 0, 2):  # at random
        assert np.abs(images.read(number).astype(int) - 10 * number).max() <= 1
    assert [r.key for r in opened(tmp_path, where="width=2").records] == ["00001/00002"]


@pytest.mark.parametrize(
    "pattern", ["s-{00..01}.tar", "s-{00,01}.tar", "s-0[01].tar", "?-*0[01].tar"]
)
def test_patterns(tmp_path: Path, pattern: str) -> None:
    for number in range(3):
        shard(tmp_path / f"s-{number:02d}.tar", 2 * number)
    names = [record.file.name for record in opened(tmp_path / pattern).records]
    assert names == ["s-00.tar", "s-00.tar", "s-01.tar", "s-01.tar"]
    assert len(opened(tmp_path / "s-02.tar")) == 2


def test_bad_patterns_say_which_file_is_missing(tmp_path: Path) -> None:
    shard(tmp_path / "0.tar", 0)
    for pattern, message in {
        "{0..3}.tar": "1.tar is no .tar file",
        "x*.tar": "matches no file",
        "0.tar.gz": "unpack to .tar first",
        "9.tar": "9.tar is no .tar file",
    }.items():
        with pytest.raises(ValueError, match=message):
            opened(tmp_path / pattern)


def test_captions_of_txt_go_before_those_of_json(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar",
        [
            ("./x/1.webp", encoded(0, kind="WEBP")),
            ("./x/1.json", '{"captions": ["one", "two"]}'),
            ("2.json", "damaged"),
            ("2.PNG", encoded(0)),
            ("3.png", encoded(0)),
            ("3.txt", "a line\nanother"),
            ("3.json", '{"caption": "unused"}'),
            ("3.seg.png", encoded(0)),
        ],
    )
    images = opened(tmp_path / "a.tar")
    assert {r.key: r.captions for r in images.records} == {
        "a/x/1": ("one", "two"),
        "a/2": (),
        "a/3": ("a line", "another"),
    }


def test_duplicates_and_captions_without_image_are_listed(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar",
        [
            ("1.png", encoded(10)),
            ("1.txt", "first"),
            ("2.txt", "alone"),
            ("1.png", encoded(20)),
            ("1.txt", "second"),
        ],
    )
    images = opened(tmp_path, max_bad_share=0.5)
    assert images.records[0].captions == ("first",) and (images.read(0) == 10).all()
    assert images.report.duplicates == ["a/1"]
    assert images.report.missing == {"a/2": "only its caption is there"}


@pytest.mark.parametrize("cut", ["data", "header", "members"])
def test_a_truncated_shard_is_read_up_to_the_cut_and_listed(tmp_path: Path, cut: str) -> None:
    path = write_tar(tmp_path / "a.tar", [(f"{i}.png", noise()) for i in range(3)])
    block = 512 + -(-len(noise()) // 512) * 512
    data = path.read_bytes()
    end = {"data": 2 * block + 5000, "header": 2 * block + 100, "members": 2 * block}[cut]
    path.write_bytes(data[:end])
    with pytest.raises(BadFilesError, match=r"about 1 of 3 images .* a\.tar \(ends too early\)"):
        opened(path)
    images = opened(path, max_bad_share=0.5)
    assert [record.key for record in images.records] == ["a/0", "a/1"]
    assert images.report.truncated == {"a.tar": 1}
    assert images.read(1).shape == (8, 8, 3)
    path.write_bytes(data)
    assert not opened(path).report.truncated and len(opened(path)) == 3


def test_a_shard_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(noise())
    with pytest.raises(ValueError, match="no image that can be read"):
        opened(tmp_path)


def test_the_index_is_kept_until_the_shard_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shard(tmp_path / "a.tar", 0)
    scanned: list[str] = []
    scan = tar_cache.scan
    monkeypatch.setattr(
        tar_cache, "scan", lambda p, **how: scanned.append(p.name) or scan(p, **how)
    )
    first = opened(path)
    assert opened(path).records == first.records and scanned == ["a.tar"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "a.tar.index.json"]

    stored = json.loads((tmp_path / "a.tar.index.json").read_text())
    old = {"stamp": [1, *stored["stamp"][1:3]], "complete": True, "members": []}  # as 0.1.0 made it
    (tmp_path / "a.tar.index.json").write_text(json.dumps(old))
    assert opened(path).records == first.records and len(scanned) == 2
    assert json.loads((tmp_path / "a.tar.index.json").read_text()) == stored
    os.utime(shard(path, 5), (1, 1))
    assert opened(path).records[0].key == "a/00005" and len(scanned) == 3


def test_the_index_of_a_read_only_folder_goes_to_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = shard(tmp_path / "a.tar", 0)
    (tmp_path / "a.tar.index.json").mkdir()  # a place that cannot be written, even by root
    records = opened(path).records
    stored = list((tmp_path / "cache" / "textok" / "shards").iterdir())
    assert len(stored) == 1 and stored[0].name.endswith("-a.tar.index.json")
    monkeypatch.setattr(tar_cache, "scan", lambda shard, **how: pytest.fail("scanned again"))
    assert opened(path).records == records
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "a.tar.index.json", "cache"]


@pytest.mark.parametrize(
    "content",
    ['{"captions": "mine"}', '{"stamp": [4, 1, 2], "mine": 1}', '{"stamp": [4,', "[]", "", "\xff",
     None],
)  # fmt: skip
def test_a_file_of_the_user_where_the_index_would_be_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, place = shard(tmp_path / "a.tar", 0), tmp_path / "a.tar.index.json"
    if content is None:
        place.symlink_to(tmp_path / "gone")
    else:
        place.write_bytes(content.encode("latin-1"))
    first = opened(path)
    monkeypatch.setattr(tar_cache, "scan", lambda shard, **how: pytest.fail("scanned again"))
    assert opened(path).records == first.records and len(first) == 2
    assert place.is_symlink() or place.read_bytes() == str(content).encode("latin-1")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("part", [".caption", ".text", ".TXT", ".json"])
def test_captions_in_other_members(tmp_path: Path, part: str) -> None:
    text = '["one", "two"]' if part == ".json" else "one\ntwo"
    write_tar(tmp_path / "a.tar", [("1.png", encoded(0)), (f"1{part}", text)])
    assert opened(tmp_path).records[0].captions == ("one", "two")


def test_fields_that_hold_captions_and_texts_in_other_encodings(tmp_path: Path) -> None:
    members: list[tuple[str, bytes | str]] = [("1.png", encoded(0)), ("1.json", '{"prompt": "x"}')]
    members += [("2.png", encoded(0)), ("2.txt", "a café".encode("cp1252"))]
    members += [("3.png", encoded(0)), ("3.txt", "赤い猫の写真".encode("gb18030"))]
    write_tar(tmp_path / "a.tar", members)
    for _ in range(2):  # the second time from the index
        images = opened(tmp_path)
        assert [record.captions for record in images.records] == [("x",), ("a café",), ()]
        assert images.report.recoded == {"2.txt": "Windows-1252"}
        assert list(images.report.undecodable) == ["3.txt"]
    assert opened(tmp_path, encoding="gb18030").records[2].captions == ("赤い猫の写真",)


def test_names_with_dots_are_left_out_and_named(tmp_path: Path) -> None:
    names = ("ok.png", "ok.seg.png", "22.05.png", "photo.v2.jpg")
    write_tar(tmp_path / "a.tar", [(name, encoded(0)) for name in names])
    images = opened(tmp_path)
    assert [record.key for record in images.records] == ["a/ok"]
    assert images.report.dotted == ["a/22.05.png", "a/photo.v2.jpg"]
    assert "a shard's key ends at the first dot): a/22.05.png" in images.report.summary()


def test_texts_that_are_not_read_are_named_and_hidden_members_are_not_counted(
    tmp_path: Path,
) -> None:
    write_tar(
        tmp_path / "0.tar",
        [
            ("a.png", encoded(1)),
            ("._a.png", b"\0"),
            ("a.jpg.txt", "a cat"),
            ("b.png", encoded(2)),
            ("b.jpg.txt", "a dog"),
            ("b.prompt", "a dog"),
            ("b.cls.bin", b"7"),
        ],
    )
    for _ in range(2):  # scanned, then by the stored index
        report = opened(tmp_path).report
        assert report.dotted == [] and report.images == 2
        assert report.unread == ["*.jpg.txt", "*.prompt"]
    assert report.messages()[1].startswith("not read as captions: *.jpg.txt, *.prompt; name a ")


def test_links_in_a_shard_are_their_targets(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        data = encoded(70)
        info = tarfile.TarInfo("x/1.png")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
        for name, kind, target in (("x/2.png", tarfile.LNKTYPE, "x/1.png"),
                                   ("x/3.png", tarfile.SYMTYPE, "1.png"),
                                   ("x/4.png", tarfile.SYMTYPE, "gone.png")):  # fmt: skip
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
    images = opened(tmp_path)
    assert [record.key for record in images.records] == ["a/x/1", "a/x/2", "a/x/3"]
    assert (images.read(1) == 70).all() and (images.read(2) == 70).all()


def test_archives_one_after_the_other(tmp_path: Path) -> None:
    first = write_tar(tmp_path / "1", [("1.png", encoded(10))]).read_bytes()
    second = write_tar(tmp_path / "2", [("2.png", encoded(20)), ("2.txt", "two")]).read_bytes()
    path = tmp_path / "both.tar"
    path.write_bytes(first + second)
    images = opened(path)
    assert [record.key for record in images.records] == ["both/1", "both/2"]
    assert (images.read(1) == 20).all() and images.records[1].captions == ("two",)
    path.write_bytes(first + second[:700])
    assert opened(path, max_bad_share=1.0).report.truncated == {"both.tar": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x1f\x8b" + bytes(600), "compressed by gzip"),
        (b"<!DOCTYPE html>" + bytes(600), "begins with '<!DOCTYPE html>"),
    ],
)
def test_other_files_called_tar_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    shard(tmp_path / "0.tar", 0)
    (tmp_path / "1.tar").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        opened(tmp_path)


def test_a_cut_shard_counts_as_many_images_as_the_others_have(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"{number}.tar", [(f"{i}.png", noise()) for i in range(5)])
    path = tmp_path / "2.tar"
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(BadFilesError, match=r"about 4 of 15 images"):
        opened(tmp_path, max_bad_share=0.25)
    assert opened(tmp_path, max_bad_share=0.3).report.left_out() == {"truncated shards": 4}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("coco_train_000", "coco_val_000"), ("train", "val")),
        (("training-set-0", "testing-set-0"), ("train", "test")),
        (("laion-train-clean-0", "laion-test-clean-0"), ("train", "test")),
        (("trainval-0", "test-0"), ("train", "test")),
        (("train-0", "val-0", "more-0"), ()),
        (("trains-0", "contest-0"), ()),
    ],
)
def test_splits_by_the_words_of_shards(
    tmp_path: Path, names: tuple[str, ...], splits: tuple[str, ...]
) -> None:
    for name in names:
        write_tar(tmp_path / f"{name}.tar", [("1.png", encoded(0))])
    assert sorted(own_splits(DataConfig(path=str(tmp_path)))) == sorted(splits)
    assert len(opened(tmp_path)) == (1 if splits else len(names))


def test_shards_named_after_splits(tmp_path: Path) -> None:
    for name in ("train-000", "train-001", "val-000"):
        write_tar(tmp_path / f"{name}.tar", [("1.png", encoded(0))])
    keys = [record.key for record in opened(tmp_path).records]
    assert keys == ["train-000/1", "train-001/1"]
    assert [r.key for r in opened(tmp_path, split="val").records] == ["val-000/1"]
    with pytest.raises(ValueError, match=r"no shards of 'test'; data\.split can be train, val"):
        opened(tmp_path, split="test")


def test_names_that_are_no_utf8_and_files_that_are_prepared_from_them(tmp_path: Path) -> None:
    members = [(b"caf\xe9.png", encoded(10)), (b"caf\xe9.txt", "one"), (b"b\xe9.v.png", encoded(0))]
    named = [(name.decode("utf-8", "surrogateescape"), data) for name, data in members]
    root = tmp_path / "set"
    root.mkdir()
    write_tar(root / os.fsdecode(b"\xe9.tar"), [*named, named[0], ("alone.txt", "x")])
    for _ in range(2):  # the second time from the index
        images = opened(root, max_bad_share=0.5)
        assert {r.key: r.captions for r in images.records} == {"\\xe9/caf\\xe9": ("one",)}
        assert images.report.duplicates == ["\\xe9/caf\\xe9"]
        assert images.report.dotted == ["\\xe9/b\\xe9.v.png"]
        assert list(images.report.missing) == ["\\xe9/alone"]
        images.report.summary().encode("utf-8")
    out = tmp_path / "out"
    command = ["data", "prepare", str(root), str(out), "--size", "8", "--max-bad-share", "0.5"]
    assert main(command) == 0
    rows = [line for file in out.glob("*/metadata.jsonl") for line in file.open(encoding="utf-8")]
    assert [json.loads(row)["key"] for row in rows] == ["\\xe9/caf\\xe9"]


def test_a_pattern_is_a_name_where_there_is_such_a_file(tmp_path: Path) -> None:
    for name in ("data[1].tar", "s{0,1}.TAR"):
        shard(tmp_path / name, 0)
        assert len(find_shards(str(tmp_path / name))) == 1
    with pytest.raises(ValueError, match="over 1,000,000 shards"):
        opened(tmp_path / "{000..99999999}.tar")
