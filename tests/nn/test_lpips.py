from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from textok.nn.lpips import (
    BACKBONES,
    LPIPS,
    WEIGHTS_VARIABLE,
    Backbone,
    default_weights,
    load_lpips,
)

SHIFT, SCALE = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])


def torchvision_layers(backbone: Backbone) -> tuple[nn.Sequential, list[int]]:
    """The network as torchvision lays it out, and which layers' outputs the paper compares."""
    layers: list[nn.Module] = []
    if backbone == "alex":
        layers = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        for width, out in ((192, 384), (384, 256), (256, 256)):
            layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers), [1, 4, 7, 9, 11]
    width = 3
    for count, out in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
            width = out
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers), [3, 8, 15, 22, 29]


@pytest.mark.parametrize(("backbone", "size"), [("alex", 64), ("vgg", 32)])
def test_it_is_equation_1_on_torchvisions_layout(
    backbone: Backbone, size: int, lpips_file: Path
) -> None:
    state = load_file(lpips_file)
    layers, compared = torchvision_layers(backbone)
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    for number, conv in enumerate(convs):
        conv.weight.data = state[f"{backbone}.convs.{number}.weight"]
        conv.bias.data = state[f"{backbone}.convs.{number}.bias"]
    pictures = torch.rand(2, 3, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    x, y = ((p - SHIFT[:, None, None]) / SCALE[:, None, None] for p in pictures)
    expected = torch.zeros(3)
    with torch.no_grad():
        for number, layer in enumerate(layers):
            x, y = layer(x), layer(y)
            if number in compared:
                head = state[f"{backbone}.heads.{compared.index(number)}"]
                gap = (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square()
                expected += (gap * head[:, None, None]).sum(dim=1).mean(dim=(1, 2))
    network = load_lpips(backbone, path=lpips_file)

    assert network(*pictures).tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert network(pictures[0], pictures[0]).tolist() == [0, 0, 0]


def test_distance_by_hand() -> None:
    network = LPIPS("alex")
    network.heads = nn.ParameterList([torch.tensor([2.0, 1.0])])
    # Unit vectors (1, 0) and (0.6, 0.8) at one of two places, the same at the other.
    x = torch.tensor([[[[5.0, 1.0]], [[0.0, 1.0]]]])
    y = torch.tensor([[[[3.0, 2.0]], [[4.0, 2.0]]]])

    assert network.distance([x], [y]).item() == pytest.approx((2 * 0.16 + 1 * 0.64) / 2)


@pytest.mark.parametrize(("backbone", "width"), [("alex", 256), ("vgg", 512)])
def test_pooled_features(backbone: Backbone, width: int, lpips_file: Path) -> None:
    network = load_lpips(backbone, path=lpips_file)
    images = torch.zeros(2, 3, 64, 64)

    assert network.pooled(images).shape == (2, width)
    torch.testing.assert_close(network.pooled(images), network.maps(images)[-1].mean((2, 3)))


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "x.safetensors"))
    assert default_weights() == tmp_path / "x.safetensors"
    monkeypatch.delenv(WEIGHTS_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_weights() == tmp_path / "textok" / "lpips.safetensors"
    with pytest.raises(ValueError, match=r"lpips\.safetensors: make that file with `textok conv"):
        load_lpips("alex")


@pytest.mark.parametrize("content", [b"", b"junk", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_another_file_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "lpips.safetensors"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"lpips\.safetensors: .*make it again"):
        load_lpips("vgg", path=file)


def test_the_backbones() -> None:
    convs = {backbone: len(LPIPS(backbone).convs) for backbone in BACKBONES}

    assert convs == {"alex": 5, "vgg": 13}


def test_gradients_reach_images_and_no_weights(lpips_file: Path) -> None:
    network = load_lpips("alex", path=lpips_file)
    x: Tensor = torch.rand(1, 3, 64, 64, requires_grad=True)
    network(x, torch.zeros(1, 3, 64, 64)).sum().backward()

    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())
