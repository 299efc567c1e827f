from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from textok.config import DataConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.pixels import to_tensor
from textok.evaluate.image_features import image_features, training_images
from textok.metrics.feature_network import FeatureNetwork

CPU = torch.device("cpu")


class Seen:
    """A network of 3 features that counts its images."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, images_B3HW: Tensor) -> Tensor:
        self.images += len(images_B3HW)
        return functional.adaptive_avg_pool2d(images_B3HW, 1).flatten(1)


def network(seen: Seen) -> FeatureNetwork:
    return FeatureNetwork(name="m", metric="FD-mean", width=3, protocol="means", extract=seen)


def open_split(folder: Path, split: str) -> CaptionedImages:
    config = DataConfig(path=str(folder), split=split, workers=0, max_bad_share=0.5)
    return open_captioned_images(config, image_size=16)


def test_features_in_order_and_without_unreadable_images(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(pictures / "test", folder)
    (folder / "03.png").write_bytes(b"damaged")
    images = open_split(folder, "test")
    found = image_features(images, network(Seen()), device=CPU, batch_size=4, cache=None)
    readable = [place for place in range(9) if place != 3]
    expected = torch.stack([to_tensor(images.read(place)).mean(dim=(1, 2)) for place in readable])

    torch.testing.assert_close(found.features, expected)
    assert found.images.records == [images.records[place] for place in readable]


def test_features_are_kept_for_the_same_images_and_network(pictures: Path, tmp_path: Path) -> None:
    images, seen = open_split(pictures, "test"), Seen()

    def features(images: CaptionedImages, network: FeatureNetwork) -> Tensor:
        return image_features(
            images, network, device=CPU, batch_size=4, cache=tmp_path / "cache"
        ).features

    first = features(images, network(seen))
    assert torch.equal(features(images, network(seen)), first)
    assert seen.images == 9
    features(dataclasses.replace(images, records=images.records[:5]), network(seen))
    assert seen.images == 14
    features(images, dataclasses.replace(network(seen), protocol="others"))
    assert seen.images == 23
    for other in ({"resize": "adm"}, {"fit": "pad"}):
        config = dataclasses.replace(images.config, **other)
        features(dataclasses.replace(images, config=config), network(seen))
    assert seen.images == 41

    # Written to since, though to the byte as long.
    file = images.records[0].file
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    features(images, network(seen))
    assert seen.images == 50

    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"features-.*\.safetensors: damaged .*; delete it"):
        features(images, network(seen))


def test_training_images_are_never_those_measured(pictures: Path) -> None:
    training = training_images(open_split(pictures, "test"))

    assert training is not None
    assert len(training) == 40
    assert training_images(open_split(pictures, "train")) is None
    assert training_images(open_split(pictures / "test", "test")) is None


def test_a_set_of_other_splits_alone_has_no_training_images(pictures: Path, tmp_path: Path) -> None:
    for split in ("val", "test"):
        shutil.copytree(pictures / "test", tmp_path / split)
    assert training_images(open_split(tmp_path, "test")) is None
