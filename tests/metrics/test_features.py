from __future__ import annotations

from pathlib import Path

import pytest
import torch

from textok.metrics.features import lite0_features, load_feature_network
from textok.nn.efficientnet_lite import EfficientNetLite0


def test_lite0_is_never_called_fid() -> None:
    network = lite0_features(EfficientNetLite0().requires_grad_(False))

    assert (network.name, network.metric) == ("efficientnet_lite0", "FD-EffLite0")
    assert "224 px" in network.protocol
    assert network.extract(torch.zeros(2, 3, 64, 64)).shape == (2, network.width)


def test_unknown_network() -> None:
    with pytest.raises(ValueError, match="'vgg' is unknown: use efficientnet_lite0 or inception"):
        load_feature_network("vgg")


def test_inception_needs_a_local_file() -> None:
    with pytest.raises(
        ValueError, match=r"weights-inception-2015-12-05-6726825d\.pth from a local"
    ):
        load_feature_network("inception")


def test_inception_refuses_a_pickle_of_more_than_weights(tmp_path: Path) -> None:
    path = tmp_path / "inception.pth"
    torch.save({"code": Path.cwd}, path)

    with pytest.raises(ValueError, match=r"inception\.pth: not a file of plain weights"):
        load_feature_network("inception", weights=path)
