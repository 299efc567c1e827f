"""Which network judges, and which distances are marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from textok.evaluate.judges import Judges, default_names, open_judges
from textok.metrics.feature_network import FeatureNetwork
from textok.nn.lpips import WEIGHTS_VARIABLE

METRICS = {
    "efficientnet_lite0": "FD-EffLite0",
    "vgg16": "FD-VGG16",
    "alexnet": "FD-AlexNet",
    "inception": "FID",
    "inception_spatial": "sFID",
    "a/dinov2-small": "FD-DINOv2",
    "a/dinov2-base": "FD-DINOv2",
}
IMAGE_METRICS = ("psnr", "ssim", "perceptual", "lpips", "lpips_alex")


def judges(*names: str, trained_with: tuple[str, ...], weights: Path | None = None) -> Judges:
    """Networks that were not loaded; their protocol is the file of weights."""

    def load(name: str, *, weights: Path | None) -> FeatureNetwork:
        return FeatureNetwork(
            name=name,
            metric=METRICS[name],
            width=9,
            protocol=str(weights),
            extract=lambda images: images,
        )

    return open_judges(names, weights=weights, trained_with=trained_with, load=load)


@pytest.mark.parametrize(
    ("trained_with", "main", "marked"),
    [
        ((), "FD-EffLite0", []),
        (("unknown",), "FD-EffLite0", []),
        (("convnext",), "FD-EffLite0", []),
        (("efficientnet_lite0",), "FD-VGG16", ["FD-EffLite0", "perceptual"]),
        (("lpips_vgg",), "FD-EffLite0", ["FD-VGG16", "lpips"]),
        (("lpips_alex", "unknown"), "FD-EffLite0", ["FD-AlexNet", "lpips_alex"]),
        (
            ("efficientnet_lite0", "lpips_vgg"),
            "FD-AlexNet",
            ["FD-EffLite0", "FD-VGG16", "perceptual", "lpips"],
        ),
    ],
)
def test_the_first_that_was_not_trained_against_judges(
    trained_with: tuple[str, ...], main: str, marked: list[str]
) -> None:
    found = judges("efficientnet_lite0", "vgg16", "alexnet", trained_with=trained_with)

    assert found.main.metric == main
    assert len(found.others) == 2
    assert found.not_comparable(IMAGE_METRICS) == marked
    assert found.warnings() == []
    assert found.describe()["trained against"] == (
        ", ".join(trained_with) or "no pretrained network"
    )


def test_one_network_that_was_trained_against_is_warned_of() -> None:
    found = judges("efficientnet_lite0", trained_with=("efficientnet_lite0",))

    assert found.main.metric == "FD-EffLite0"
    assert found.warnings() == [
        "FD-EffLite0 is in a network that the model was trained against, and no other one was "
        "given: name another feature network"
    ]


def test_whose_the_weights_are() -> None:
    file = Path("w.pth")

    both = judges("vgg16", "inception", trained_with=(), weights=file)
    one = judges("vgg16", "alexnet", trained_with=("lpips_vgg",), weights=file)
    assert {n.name: n.protocol for n in both.networks} == {"vgg16": "None", "inception": "w.pth"}
    spatial = judges("inception_spatial", "vgg16", "inception", trained_with=(), weights=file)
    assert [n.metric for n in spatial.networks] == ["FD-VGG16", "FID", "sFID"]
    assert [n.protocol for n in spatial.networks] == ["None", "w.pth", "w.pth"]
    assert {n.name: n.protocol for n in one.networks} == {"vgg16": "w.pth", "alexnet": "None"}


def test_what_judges_without_being_named(
    no_lpips: Path, lpips_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_names() == ["efficientnet_lite0"]
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(lpips_file))
    assert default_names() == ["efficientnet_lite0", "vgg16"]
    assert judges(trained_with=("efficientnet_lite0",)).main.metric == "FD-VGG16"


def test_a_network_twice() -> None:
    with pytest.raises(ValueError, match="feature networks vgg16, vgg16: one comes twice"):
        judges("vgg16", "vgg16", trained_with=())


def test_two_networks_of_one_distance() -> None:
    with pytest.raises(ValueError, match="two of them give one distance, of FD-DINOv2, FD-DINOv2"):
        judges("a/dinov2-small", "a/dinov2-base", trained_with=())
