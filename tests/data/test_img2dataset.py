"""What img2dataset writes (``--output_format`` webdataset and files) is read as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder, write_tar
from textok.config import DataConfig
from textok.data import CaptionedImages, open_captioned_images

CAPTIONS: list[str | None] = ["a red\n  kettle", None, "two\tcats"]


def opened(path: Path, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), **options), image_size=8)


def sample(number: int, **columns: object) -> dict[str, bytes | str]:
    """The three files of an image that was fetched; ``columns`` are --save_additional_columns."""
    caption = CAPTIONS[number % 3]
    facts = {
        "caption": caption,
        "url": f"https://example.org/{number}.jpg",
        "key": f"00000{number:04d}",
        "status": "success",
        "error_message": None,
        "width": 8,
        "height": 8,
        "original_width": 640,
        "original_height": 480,
        "exif": "{}",
        "sha256": "0" * 64,
        **columns,
    }
    key = facts["key"]
    return {
        f"{key}.jpg": encoded(20 * number, kind="JPEG"),
        f"{key}.txt": caption or "",
        f"{key}.json": json.dumps(facts, indent=4),
    }


TABLES: dict[str, bytes | str] = {"00000.parquet": b"PAR1", "00000_stats.json": '{"count": 3}'}


@pytest.fixture
def webdataset(tmp_path: Path) -> Path:
    members = [item for number in range(3) for item in sample(number, punsafe=0.1).items()]
    write_tar(tmp_path / "00000.tar", members)
    return write_folder(tmp_path, TABLES)


def test_shards_with_their_tables_beside_them(webdataset: Path) -> None:
    images = opened(webdataset)
    # A caption of several lines is one caption, and one that is missing is absent.
    assert [(record.key, record.captions, record.label) for record in images.records] == [
        ("00000/000000000", ("a red kettle",), None),
        ("00000/000000001", (), None),
        ("00000/000000002", ("two cats",), None),
    ]
    assert abs(int(images.read(2).mean()) - 40) <= 1
    assert images.report.summary() == "3 images; 1 without a caption"
    assert len(opened(webdataset, where="status=success,original_width=640,punsafe=0.1")) == 3


def test_a_column_called_label_is_the_class(tmp_path: Path) -> None:
    members = [
        item
        for number, label in enumerate(("dog", "cat", None))
        for item in sample(number, label=label).items()
    ]
    images = opened(write_tar(tmp_path / "00000.tar", members))
    assert [record.label for record in images.records] == ["dog", "cat", None]
    assert images.classes == ["cat", "dog"]
    members += [("000000000.cls", "7")]  # WebDataset's own goes first
    assert opened(write_tar(tmp_path / "00001.tar", members)).records[0].label == "7"


def test_lines_that_the_json_does_not_repeat_are_several_captions(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar",
        [
            ("1.png", encoded(0)),
            ("1.txt", "one\ntwo"),
            ("1.json", '{"caption": "one"}'),
            ("2.png", encoded(0)),
            ("2.txt", " "),
            ("2.json", '{"caption": " ", "captions": ["x", "y"]}'),
        ],
    )
    assert [r.captions for r in opened(tmp_path).records] == [("one", "two"), ("x", "y")]


def test_files_in_numbered_folders_have_no_class(tmp_path: Path) -> None:
    files = {f"00000/{name}": data for number in range(2) for name, data in sample(number).items()}
    write_folder(tmp_path, {**files, **TABLES})
    images = opened(tmp_path)
    assert [(r.key, r.label) for r in images.records] == [
        ("00000/000000000.jpg", None),
        ("00000/000000001.jpg", None),
    ]
    assert images.classes == []
    (tmp_path / "00000.parquet").unlink()  # any folder of images: its name is the class
    assert opened(tmp_path).classes == ["00000"]


def test_parquet_alone_is_refused_with_the_format_to_ask_for(tmp_path: Path) -> None:
    write_folder(tmp_path, TABLES)
    with pytest.raises(ValueError, match=r"no images.*--output_format webdataset"):
        opened(tmp_path)
