from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from textok.config import DataConfig
from textok.config.generation import ReconstructConfig
from textok.data import open_captioned_images
from textok.evaluate.pictures import (
    _readable,
    reconstruct_files,
    reconstruction_sheet,
    wrong_captions,
)
from textok.latents import load_latents
from textok.pipeline import Reconstructor


def reconstruct(
    model: str | Path, images: Sequence[Path], out: Path, **settings: Any
) -> list[Path]:
    config = ReconstructConfig(
        model=str(model), images=tuple(images), out=out, device="cpu", **settings
    )
    return reconstruct_files(config)


def test_sheet_and_tokens(pictures: Path, model: Callable[[str], Path], tmp_path: Path) -> None:
    paths = sorted((pictures / "test").glob("*.png"))[:2]
    written = reconstruct(
        model("both"), paths, tmp_path, caption=("a cat", "a dog"), num_tokens=(3,), tokens=True
    )
    latents, captions = load_latents(tmp_path / "tokens.safetensors")
    reconstructor = Reconstructor.from_pretrained(model("both"))
    expected = reconstructor.encode([Image.open(path) for path in paths], captions, num_tokens=3)

    assert written == [tmp_path / "sheet.png", tmp_path / "tokens.safetensors"]
    assert captions == ["a cat", "a dog"]
    assert torch.equal(latents.mean, expected.mean.half())
    assert Image.open(written[0]).width > 4 * 128  # original, right, no and wrong caption


@pytest.mark.parametrize(
    ("nested", "num_tokens", "expected"),
    [
        (False, None, ["4 tokens"] * 3),
        (False, 2, ["2 tokens"] * 3 + ["4 tokens"]),
        (True, None, ["1 token"] * 3 + ["4 tokens"]),
        (True, 2, ["2 tokens"] * 3 + ["4 tokens"]),
        (True, 4, ["4 tokens"] * 3),
    ],
)
def test_the_columns_of_a_sheet(
    nested: bool,
    num_tokens: int | None,
    expected: list[str],
    pictures: Path,
    model: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = Reconstructor.from_pretrained(model("both"))
    loaded.config = loaded.tokenizer.config = replace(loaded.config, nested=nested)
    shown: dict[str, list[Image.Image]] = {}
    monkeypatch.setattr(
        "textok.evaluate.pictures.picture_sheet", lambda columns, *_, **__: shown.update(columns)
    )
    paths = sorted((pictures / "test").glob("*.png"))[:2]
    originals, captions = [Image.open(path) for path in paths], ["a cat", "a dog"]
    reconstruction_sheet(loaded, originals, captions, num_tokens=num_tokens)

    names = ["no caption", "its caption", "a wrong caption", "its caption"]
    wanted = [f"{count}, {name}" for count, name in zip(expected, names, strict=False)]
    assert list(shown) == ["original", *wanted]
    few = int(expected[0].split()[0])
    made = loaded.reconstruct(originals, ["a dog", "a cat"], num_tokens=few)
    assert shown[wanted[2]][0].tobytes() == made[0].tobytes()
    made = loaded.reconstruct(originals, captions, num_tokens=int(expected[-1].split()[0]))
    if len(expected) == 4:
        assert shown[wanted[3]][1].tobytes() == made[1].tobytes()


def test_one_caption_serves_all(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path
) -> None:
    paths = sorted((pictures / "test").glob("*.png"))[:2]
    reconstruct(model("both"), paths, tmp_path, caption=("a cat",), tokens=True)

    assert load_latents(tmp_path / "tokens.safetensors")[1] == ["a cat", "a cat"]


def test_captions_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 captions for 3 images"):
        reconstruct("x", [Path("a"), Path("b"), Path("c")], tmp_path, caption=("a", "b"))


def test_a_file_that_is_no_picture(model: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "note.png"
    path.write_text("no picture")

    with pytest.raises(ValueError, match=r"note\.png: no known image format"):
        reconstruct(model("none"), [path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_captions_are_wrong() -> None:
    assert wrong_captions(["a cat", "a dog"]) == ["a dog", "a cat"]
    assert wrong_captions(["a cat"]) == ["a black watch"]
    assert wrong_captions(["a blue watch"] * 2) == ["a red handbag"] * 2


def test_rows_of_a_sheet_are_images_that_can_be_read(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures / "test", tmp_path / "data")
    data = DataConfig(path=str(tmp_path / "data"), split="")
    images = open_captioned_images(data, image_size=16)

    def rows(count: int) -> list[int]:
        return sorted(_readable(images, count))

    assert rows(3) == [0, 3, 6] and rows(20) == list(range(9))
    for bad in (0, 6, 7, 8):
        images.records[bad].file.write_bytes(b"damaged")
    assert rows(1) == [1] and rows(3) == [1, 2, 3]  # round and round
    images.records[1].file.unlink()
    assert rows(1) == [2] and rows(20) == [2, 3, 4, 5]
