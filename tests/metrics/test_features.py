from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from textok.metrics.features import lite0_features, load_feature_network
from textok.nn.efficientnet_lite import EfficientNetLite0
from textok.nn.lpips import WEIGHTS_VARIABLE, load_lpips


def test_lite0_is_never_called_fid() -> None:
    network = lite0_features(EfficientNetLite0().requires_grad_(False))

    assert (network.name, network.metric) == ("efficientnet_lite0", "FD-EffLite0")
    assert "224 px" in network.protocol
    assert network.extract(torch.zeros(2, 3, 64, 64)).shape == (2, network.width)


@pytest.mark.parametrize(
    ("name", "metric", "width", "size"),
    [("vgg16", "FD-VGG16", 512, 96), ("alexnet", "FD-AlexNet", 256, 224)],
)
def test_networks_of_lpips(
    name: str,
    metric: str,
    width: int,
    size: int,
    lpips_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(lpips_file))
    network = load_feature_network(name)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    large = functional.interpolate(images, (size, size), mode="bicubic", antialias=True)
    loaded = load_lpips("vgg" if name == "vgg16" else "alex")

    assert (network.name, network.metric, network.width) == (name, metric, width)
    assert f"resized to {size} px" in network.protocol
    torch.testing.assert_close(network.extract(images), loaded.pooled(large.clamp(-1, 1)))
    torch.testing.assert_close(network.extract(large), loaded.pooled(large))
    assert load_feature_network(name, weights=lpips_file).width == width


def test_networks_of_lpips_without_its_file(no_lpips: Path) -> None:
    with pytest.raises(ValueError, match=f"not at {no_lpips}: make that file with"):
        load_feature_network("vgg16")


def test_unknown_network() -> None:
    with pytest.raises(ValueError, match="'vgg' is unknown: use efficientnet_lite0, vgg16, a"):
        load_feature_network("vgg")


def test_inception_needs_a_local_file() -> None:
    with pytest.raises(
        ValueError, match=r"weights-inception-2015-12-05-6726825d\.pth from a local"
    ):
        load_feature_network("inception")


def test_inception_refuses_a_pickle_of_more_than_weights(tmp_path: Path) -> None:
    path = tmp_path / "inception.pth"
    torch.save({"code": Path.cwd}, path)

    with pytest.raises(
        ValueError, match=r"inception\.pth: damaged, or not a file of plain weights"
    ):
        load_feature_network("inception", weights=path)
