"""What people pass: every kind of picture and caption, right and wrong."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from textok.pipeline import Reconstructor, TextToImage
from textok.pipeline.image_request import ImageRequest, image_requests
from textok.pipeline.inputs import read_captions, read_picture, read_pictures

S = 8
RGB = np.random.default_rng(0).integers(0, 256, (S, S, 3), dtype=np.uint8)
"""A picture that needs no resizing."""
EXPECTED = torch.from_numpy(RGB).permute(2, 0, 1).float() / 127.5 - 1
GREY = RGB[..., 0]
GREY_EXPECTED = EXPECTED[:1].expand(3, S, S)
CLEAR = np.concatenate([RGB, np.full((S, S, 1), 255, np.uint8)], axis=2)


def saved(folder: Path, name: str = "a.png") -> Path:
    Image.fromarray(RGB).save(folder / name)
    return folder / name


def chw(pixels: Any) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


@pytest.mark.parametrize(
    "given",
    [
        Image.fromarray(RGB),
        Image.fromarray(CLEAR),
        RGB,
        np.asfortranarray(RGB),
        CLEAR,
        chw(RGB),
        chw(CLEAR),
        EXPECTED,
        EXPECTED.double(),
        EXPECTED.requires_grad_(False)[None],
        RGB[None],
        chw(RGB)[None],
        [Image.fromarray(RGB)],
        (RGB,),
        [EXPECTED],
    ],
)
def test_the_same_picture_in_every_form(given: Any) -> None:
    found = read_pictures(given, S)

    assert found.shape == (1, 3, S, S)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[0], EXPECTED, rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", [str, Path])
def test_paths(form: Callable[[Path], Any], tmp_path: Path) -> None:
    path = form(saved(tmp_path))

    torch.testing.assert_close(read_pictures(path, S)[0], EXPECTED, rtol=0, atol=1e-6)
    torch.testing.assert_close(read_pictures([path, path], S)[1], EXPECTED, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        Image.fromarray(GREY),
        GREY,
        GREY[..., None],
        torch.from_numpy(GREY)[None],
        GREY[None, ..., None],
        torch.from_numpy(GREY)[None, None],
    ],
)
def test_grey_in_every_form(given: Any) -> None:
    torch.testing.assert_close(read_pictures(given, S)[0], GREY_EXPECTED, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "HSV", "I"])
def test_pil_images_of_every_mode(mode: str) -> None:
    picture = Image.fromarray(RGB).convert("RGBA" if mode == "PA" else mode)
    assert read_pictures(picture.convert(mode) if mode == "PA" else picture, S).shape[1] == 3


def test_sixteen_bits_are_scaled() -> None:
    grey = Image.fromarray(np.full((S, S), 65535 // 5, np.uint16))
    assert read_pictures(grey, S).mean().item() == pytest.approx(51 / 127.5 - 1, abs=1e-6)


def test_other_sizes_are_resized_and_cut() -> None:
    wide = np.zeros((2 * S, 6 * S, 3), np.uint8)
    wide[:, 2 * S : 4 * S] = 255  # what the central square shows
    for given in (Image.fromarray(wide), wide, chw(wide), wide[None], chw(wide)[None]):
        found = read_pictures(given, S)
        assert found.shape == (1, 3, S, S)
        assert found.min() > 0.8  # -1 outside the square


def test_transparent_pixels_are_white() -> None:
    clear = CLEAR.copy()
    clear[..., 3] = 0
    for given in (Image.fromarray(clear), clear, chw(clear)):
        assert torch.equal(read_pictures(given, S), torch.ones(1, 3, S, S))


def test_a_list_of_several_kinds(tmp_path: Path) -> None:
    kinds = [Image.fromarray(RGB), saved(tmp_path), str(tmp_path / "a.png"), RGB, chw(RGB)]
    found = read_pictures([*kinds, EXPECTED], S)

    torch.testing.assert_close(found, EXPECTED.expand(6, 3, S, S), rtol=0, atol=1e-6)


def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    turned = Image.fromarray(RGB)
    turned.getexif()[0x0112] = 3  # upside down
    turned.save(tmp_path / "a.png", exif=turned.getexif())
    for given in (turned, tmp_path / "a.png"):
        found = read_pictures(given, S)[0].flip(1, 2)
        torch.testing.assert_close(found, EXPECTED, rtol=0, atol=1e-6)


def test_float_tensors_are_taken_as_they_are() -> None:
    batch = torch.rand(5, 3, S, S) * 2 - 1

    assert torch.equal(read_pictures(batch, S), batch)
    assert read_pictures(batch[:0], S).shape == (0, 3, S, S)
    assert torch.equal(read_pictures(batch.bfloat16(), S), batch.bfloat16().float())
    rounded = batch.clone()
    rounded[0, 0, 0, 0] = 1.0001  # of arithmetic in few digits
    assert torch.equal(read_pictures(rounded, S), rounded)


def test_pixels_that_may_be_meant_from_0_to_1_are_told() -> None:
    with pytest.warns(UserWarning, match=r"if they are of \[0, 1\], give 2 x - 1"):
        read_pictures(EXPECTED / 2 + 0.5, S)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_pictures(torch.ones(1, 3, S, S), S)
        read_pictures([EXPECTED, EXPECTED], S)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.rand(2, 3, S, S) * 0 + 254.5, "float32 tensor with values from 254.5 to 254.5"),
        (torch.full((3, S, S), -1.1), "values from -1.1 to -1.1: floats have to be in [-1, 1]"),
        (torch.full((1, 3, S, S), torch.nan), "values from nan to nan"),
        (torch.full((1, 3, S, S), torch.inf), "values from inf to inf"),
        (torch.zeros(2, 3, 16, 16), "float32 tensor of shape (2, 3, 16, 16): this tokenizer takes"),
        (torch.zeros(2, S, S, 3), "shape (2, 8, 8, 3)"),
        (torch.zeros(1, S, S), "shape (1, 8, 8)"),
        (torch.zeros(S, S), "shape (8, 8)"),
        (torch.zeros(3, S, S, dtype=torch.int64), "a int64 tensor of shape (3, 8, 8), values from"),
        (torch.zeros(S, S, 3, dtype=torch.uint8), "a uint8 tensor of shape (8, 8, 3)"),
        (torch.zeros(2, S, S, dtype=torch.uint8), "a uint8 tensor of shape (2, 8, 8)"),
        (RGB / 255, "a float64 array of shape (8, 8, 3), values from "),
        (RGB.astype(np.uint16), "a uint16 array of shape (8, 8, 3)"),
        (chw(RGB).numpy(), "a uint8 array of shape (3, 8, 8)"),
        (RGB[..., :2], "a uint8 array of shape (8, 8, 2)"),
        (RGB[:0], "a uint8 array of shape (0, 8, 3)"),
        (np.array(["a"]), "of shape (1,) is no image that is taken"),
        (Image.new("F", (S, S)), "floating-point pixels have no defined range"),
        (Image.new("RGB", (0, S)), "an image of 0 x 8 pixels"),
        (EXPECTED.to_sparse(), "tensor of shape (1, 3, 8, 8) without plain numbers"),
        (EXPECTED.to("meta"), "tensor of shape (1, 3, 8, 8) without plain numbers"),
        (EXPECTED.to(torch.complex64), "a complex64 tensor of shape (3, 8, 8) is no image"),
        ("~no user/a.png", "~no user/a.png: no image can be read there"),
        ([], "there are no images"),
        (torch.zeros(0, 3, 4, 4), "float32 tensor of shape (3, 4, 4): this tokenizer takes"),
        (np.zeros((0, S, S, 3), np.uint8), "there are no images"),
        (None, "a NoneType is no image that is taken: give PIL images, paths, uint8 arrays"),
        (7, "a int is no image"),
        (b"\x89PNG", "a bytes is no image"),
        ({"image": RGB}, "a dict is no image"),
        ([RGB, None], "image 2 of 2: a NoneType is no image"),
        ([RGB, [RGB]], "image 2 of 2: a list is no image"),
        ([RGB, RGB[None]], "image 2 of 2: a uint8 array of shape (1, 8, 8, 3)"),
        ([EXPECTED, EXPECTED[None]], "image 2 of 2: float32 tensor of shape (1, 3, 8, 8)"),
        ([EXPECTED, EXPECTED * 300], "image 2 of 2: float32 tensor with values from -"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_pictures(given, S)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    whole = saved(tmp_path).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    refused = {
        "missing.png": r"missing\.png: no image can be read there \(No such file",
        ".": "a folder, where a file is needed",
        "text.png": r"text\.png: no known image format",
        "cut.png": r"cut\.png: damaged",
    }
    for name, message in refused.items():
        with pytest.raises(ValueError, match=message):
            read_pictures(str(tmp_path / name), S)
    with Image.open(tmp_path / "cut.png") as cut, pytest.raises(ValueError, match=r"cut\.png: da"):
        read_pictures(cut, S)


def test_what_the_tokenizer_sees_of_one() -> None:
    for given in (RGB, EXPECTED, chw(RGB), Image.fromarray(RGB)):
        assert np.array_equal(np.asarray(read_picture(given, S)), RGB)


@pytest.mark.parametrize(
    ("given", "count", "expected"),
    [
        (None, 2, None),
        ("a cat", 1, ["a cat"]),
        (["a cat", None], 2, ["a cat", ""]),
        (("a", ""), 2, ["a", ""]),
        ([None], 1, [""]),
        (np.array(["a", "b"]), 2, ["a", "b"]),
    ],
)
def test_captions(given: Any, count: int, expected: Any) -> None:
    assert read_captions(given, count) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a cat", "1 captions for 2 images: give one an image"),
        (["a", "b", "c"], "3 captions for 2 images"),
        ([], "0 captions for 2 images"),
        (b"ab", "captions are a bytes: give a text, or a list of texts and None"),
        (7, "captions are a int"),
        ({"a", "b"}, "captions are a set"),
        (["a", 7], "caption 2 of 2 is a int: give a text, or None for none"),
        (["a", float("nan")], "caption 2 of 2 is a float"),
        (["a", ["b"]], "caption 2 of 2 is a list"),
        (["a", "\ud800"], "caption 2 of 2 is no valid text (surrogates not allowed)"),
    ],
)
def test_captions_that_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_captions(given, 2)


def test_prompts() -> None:
    found = image_requests(["a cat", None], num_images=2, seed=5)

    assert found == [
        ImageRequest(condition=text, seed=seed) for text in ("a cat", "") for seed in (5, 6)
    ]
    for one, none in ((np.int64(1), np.uint64(0)), (torch.tensor(1), torch.tensor(0))):
        assert image_requests(None, num_images=one, seed=none) == [
            ImageRequest(condition="", seed=0)
        ]


def test_a_request_is_checked_where_it_is_made() -> None:
    for wrong in ({"condition": None}, {"caption": 7}, {"seed": 1.5}, {"condition": "\ud800"}):
        with pytest.raises(ValueError, match=r"is no text|must be a whole number"):
            ImageRequest(**{"condition": "a cat", "seed": 0, **wrong})


@pytest.mark.parametrize(
    ("prompts", "settings", "message"),
    [
        (7, {}, "prompts are a int"),
        (["a", 7], {}, "prompt 2 of 2 is a int"),
        ([], {}, "nothing to generate: give a prompt"),
        ("a", {"caption": 7}, "captions are a int"),
        *(
            ("a", {"seed": seed}, "seed is .*: it must be a whole number")
            for seed in (None, 1.5, "1", [1, 2], torch.Generator())
        ),
        *(("a", {"seed": seed}, "seed is .*: it must be >= ") for seed in (2**64, -(2**63) - 1)),
        *(
            ("a", {"num_images": number}, "num_images is .*: it must be")
            for number in (0, 1.5, "2", None, [2], float("nan"))
        ),
    ],
)
def test_prompts_that_are_refused(prompts: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_requests(prompts, **{"num_images": 1, "seed": 0, **settings})


@pytest.mark.parametrize("pipeline", [Reconstructor, TextToImage])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "gpu"}, "device gpu: not to be had here"),
        ({"device": "cuda:99"}, "device cuda:99: not to be had here"),
        ({"dtype": "float16"}, "dtype is 'float16': give one of torch"),
        ({"dtype": torch.int32}, "dtype is torch.int32: give one of torch"),
        ({"precision": "fp16"}, "precision is 'fp16': it must be one of fp32, tf32, bf16"),
    ],
)
def test_devices_and_types_that_are_none(
    pipeline: type[Reconstructor | TextToImage], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        pipeline.from_pretrained("products", **settings)
    assert "\n" not in str(error.value)
