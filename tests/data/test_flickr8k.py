"""Flickr8k in its authors' layout and in Kaggle's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.conftest import encoded, write_folder
from textok.config import DataConfig
from textok.config.data import SourceConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.layouts.flickr8k import find

IMAGE = encoded(50)
NAMES = ("a.jpg", "b.jpg", "c.jpg", "gone.jpg")
TOKENS = "".join(f"{name}#{i}\t{name} , {i} .\n" for name in NAMES for i in range(2))
LISTS = {
    "Flickr_8k.trainImages.txt": "b.jpg\na.jpg\ngone.jpg\n",
    "Flickr_8k.devImages.txt": "c.jpg\n",
    "Flickr_8k.testImages.txt": "c.jpg\n",
}


def opened(path: Path, split: str = "train") -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), split=split), image_size=8)


@pytest.mark.parametrize("texts", ["", "Flickr8k_text/", "Flickr8k_Text/"])
@pytest.mark.parametrize("folder", ["Flicker8k_Dataset/", "Images/", "data/images/", ""])
def test_the_official_splits(tmp_path: Path, texts: str, folder: str) -> None:
    files: dict[str, bytes | str] = {f"{folder}{name}": IMAGE for name in NAMES[:3]}
    files |= {texts + name: text for name, text in {"Flickr8k.token.txt": TOKENS, **LISTS}.items()}
    write_folder(tmp_path, files)
    train = opened(tmp_path)
    assert {record.key: record.captions for record in train.records} == {
        "b.jpg": ("b.jpg , 0 .", "b.jpg , 1 ."),
        "a.jpg": ("a.jpg , 0 .", "a.jpg , 1 ."),
    }
    assert train.report.summary() == "2 images; 1 described but not there"
    for split in ("val", "validation", "dev", "test"):
        assert [record.key for record in opened(tmp_path, split).records] == ["c.jpg"]
    assert [record.key for record in opened(tmp_path, "").records] == list(NAMES[:3])
    with pytest.raises(ValueError, match=r"data\.split can be train, val, test"):
        opened(tmp_path, "extra")


def test_without_lists_every_split_is_the_whole(tmp_path: Path) -> None:
    write_folder(tmp_path, {"Flickr8k.token.txt": TOKENS, **dict.fromkeys(NAMES, IMAGE)})
    assert len(opened(tmp_path, "test")) == 4


def test_kaggles_variant(tmp_path: Path) -> None:
    text = 'image,caption\na.jpg,"A dog , running ."\na.jpg,Unquoted, still whole .\ngone.jpg,x\n'
    write_folder(tmp_path, {"captions.txt": text, "Images/a.jpg": IMAGE})
    images = opened(tmp_path)
    assert [(record.key, record.captions) for record in images.records] == [
        ("a.jpg", ("A dog , running .", "Unquoted, still whole ."))
    ]
    assert images.report.pictureless == 1
    assert images.report.summary() == "1 images; 1 described but not there"


def test_a_sidecar_called_captions_is_none_of_it(tmp_path: Path) -> None:
    write_folder(tmp_path, {"captions.txt": "a red cat", "captions.png": IMAGE})
    assert opened(tmp_path).records[0].captions == ("a red cat",)


def test_captions_are_cleaned_and_decoded_as_everywhere(tmp_path: Path) -> None:
    lines = "a.jpg#0\tnan\na.jpg#1\t a café \nb.jpg#0\tNone\ngone.jpg#0\tnull\n"
    for place, encoding in {"x": "cp1252", "y": "utf-16"}.items():
        files = {"Flickr8k.token.txt": lines.encode(encoding), "a.jpg": IMAGE, "b.jpg": IMAGE}
        images = opened(write_folder(tmp_path / place, files))
        assert [record.captions for record in images.records] == [("a café",), ()]
        assert images.report.void == 2
        recoded = {"Flickr8k.token.txt": "Windows-1252"} if encoding == "cp1252" else {}
        assert images.report.recoded == recoded


def test_an_encoding_that_has_to_be_told(tmp_path: Path) -> None:
    text = "a.jpg#0\t赤い猫\n".encode("shift_jis")
    write_folder(tmp_path, {"Flickr8k.token.txt": text, "a.jpg": IMAGE})
    with pytest.raises(ValueError, match=r"Flickr8k\.token\.txt is not UTF-8.*data\.encoding"):
        opened(tmp_path)
    config = DataConfig(path=str(tmp_path), encoding="shift_jis")
    assert open_captioned_images(config, image_size=8).records[0].captions == ("赤い猫",)


def test_a_link_to_itself_is_no_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("x")
    write_folder(tmp_path, {"t/Flickr8k.token.txt": TOKENS, "a.jpg": IMAGE})
    assert find(tmp_path, SourceConfig()) is not None


def test_lines_that_cannot_be_read(tmp_path: Path) -> None:
    write_folder(tmp_path, {"Flickr8k.token.txt": "a.jpg#0 no tab\n", "a.jpg": IMAGE})
    with pytest.raises(ValueError, match=r"Flickr8k\.token\.txt line 1: no tab"):
        opened(tmp_path)


def test_numbers_of_boxes_and_classes_are_no_captions(tmp_path: Path) -> None:
    boxes = {
        f"{name}/{name}_boxes.txt": f"{name}_0.png\t0\t10\t63\t58\n{name}_1.png\t1\t2\t3\t4\n"
        for name in ("n01", "n02")
    }
    images = [f"{name}/images/{name}_{i}.png" for name in ("n01", "n02") for i in range(2)]
    files = {**boxes, "all.csv": "n01_0.png,7\n", **dict.fromkeys(images, IMAGE)}
    write_folder(tmp_path, files)
    assert [record.captions for record in opened(tmp_path).records] == [()] * 4
    # A number among words is a caption as any.
    write_folder(tmp_path, {"all.csv": "n01_0.png,7\nn01_1.png,seven\n"})
    assert [record.captions for record in opened(tmp_path).records] == [("7",), ("seven",)]
