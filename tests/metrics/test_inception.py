"""FID's and sFID's features, of random networks with Inception's modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from textok.metrics import features
from textok.metrics.image import to_8bit
from textok.metrics.inception import (
    HEAD,
    SPATIAL_WIDTH,
    TRUNK,
    Inception,
    inception_features,
    inception_spatial_features,
    load_inception,
)
from textok.metrics.resizing import resize

CHANNELS = 9


class Branch(nn.Module):
    """A convolution and a ReLU, in place as torch-fidelity's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv(x), inplace=True)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch1x1, self.other = Branch(), Branch()

    def forward(self, x: Tensor) -> Tensor:
        return self.branch1x1(x) - self.other(x)


class TinyInception(nn.Module):
    """Inception's modules by name, of nine channels; the first maps 299 px to 17 x 17."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.calls = 0
        for name in (*TRUNK, *HEAD):
            module: nn.Module = nn.Conv2d(CHANNELS, CHANNELS, 1)
            if name == "Conv2d_1a_3x3":
                module = nn.Conv2d(3, CHANNELS, 17, stride=17)
                module.register_forward_hook(self._count)
            elif name == "Mixed_6d":
                module = Block()
            elif name == "AvgPool":
                module = nn.AdaptiveAvgPool2d(1)
            self.add_module(name, module)
        self.fc = nn.Linear(CHANNELS, 5)
        self.requires_grad_(False)

    def _count(self, *_: object) -> None:
        self.calls += 1


def images(size: int = 299) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def run(network: nn.Module, x: Tensor, names: list[str]) -> Tensor:
    for name in names:
        x = getattr(network, name)(x)
    return x


def test_features_are_those_of_the_modules() -> None:
    network, batch = TinyInception(), images()
    inception = Inception(network)
    pixels = (to_8bit(batch).float() - 128) / 128
    trunk = run(network, pixels, TRUNK)
    spatial = functional.relu(network.Mixed_6d.branch1x1.conv(trunk))

    fid, sfid = inception_features(inception), inception_spatial_features(inception)
    torch.testing.assert_close(fid.extract(batch), run(network, trunk, HEAD).flatten(1))
    found = sfid.extract(batch)
    assert found.shape == (2, SPATIAL_WIDTH) == (2, sfid.width) == (2, 2023)
    # Row by row, each position's seven channels together.
    torch.testing.assert_close(found[:, :7], spatial[:, :7, 0, 0])
    torch.testing.assert_close(found[:, 7:14], spatial[:, :7, 0, 1])
    torch.testing.assert_close(found[:, 17 * 7 : 18 * 7], spatial[:, :7, 1, 0])
    assert found.min() == 0 < found.max()


def test_one_batch_goes_through_the_trunk_once() -> None:
    network = TinyInception()
    inception = Inception(network)
    fid, sfid = inception_features(inception), inception_spatial_features(inception)
    first, second = images(), -images()
    pairs = [(fid.extract(batch), sfid.extract(batch)) for batch in (first, second)]

    assert network.calls == 2
    assert not torch.equal(pairs[0][0], pairs[1][0])
    torch.testing.assert_close(pairs[0], (fid.extract(first), sfid.extract(first)))


def test_resizing_is_a_choice_and_named() -> None:
    small, network = images(40), TinyInception()
    found = {}
    for how in ("tensorflow", "clean"):
        inception = Inception(network, resizing=how)
        found[how] = inception.pooled(small)
        x = (resize(to_8bit(small), 299, how) - 128) / 128
        torch.testing.assert_close(found[how], run(network, x, TRUNK + HEAD).flatten(1))
        assert inception_spatial_features(inception).metric == "sFID"
        assert "not antialiased" in inception_features(inception).protocol or how == "clean"
    assert not torch.allclose(found["tensorflow"], found["clean"])


def test_logits_have_no_bias() -> None:
    network = TinyInception()
    logits = inception_features(Inception(network)).logits
    assert logits is not None

    torch.testing.assert_close(logits(torch.eye(CHANNELS)), network.fc.weight.T)


def test_needs_a_local_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"6726825d\.pth from a local file, not from 'None'"):
        load_inception(None)
    path = tmp_path / "inception.pth"
    torch.save({"fc.weight": torch.zeros(100, 100)}, path)
    whole = path.read_bytes()
    # Cut at 5,000 bytes it gives PyTorch an OSError that names no file.
    for damaged in (b"PK\x03\x04 damaged", b"", *(whole[:size] for size in (2, 1000, 5000))):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"inception\.pth: damaged, or not a file of plain we"):
            load_inception(path)


@pytest.fixture
def random_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of random weights of the whole network, where torch-fidelity is installed."""
    module: Any = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "load_state_dict", lambda *_, **__: None)
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    path = tmp_path / "random.pth"
    torch.save(network.state_dict(), path)
    return path


def test_agrees_with_torch_fidelity(random_weights: Path) -> None:
    module: Any = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    theirs = module.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(random_weights)
    )
    spatial = []
    theirs.Mixed_6d.register_forward_hook(lambda _, __, output: spatial.append(output))
    batch = images(64)
    (expected,) = theirs(to_8bit(batch))

    fid, sfid = (
        features.load_feature_network(name, weights=random_weights)
        for name in ("inception", "inception_spatial")
    )
    assert fid.extract.__self__ is sfid.extract.__self__  # type: ignore[attr-defined]
    torch.testing.assert_close(fid.extract(batch), expected, rtol=1e-4, atol=1e-5)
    assert fid.extract(batch).shape == (2, fid.width)
    # The block's branches are joined with the 1 x 1 first.
    flat = spatial[0][:, :7].permute(0, 2, 3, 1).flatten(1)
    torch.testing.assert_close(sfid.extract(batch), flat, rtol=1e-4, atol=1e-5)

    torch.save({"weight": torch.zeros(1)}, random_weights)
    del fid, sfid
    with pytest.raises(ValueError, match=r"random\.pth: weights of another network"):
        load_inception(random_weights)
