from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textok.losses.perceptual import (
    EffLitePerceptual,
    LPIPSPerceptual,
    PerceptualLoss,
    perceptual_loss,
)


@pytest.fixture(scope="module")
def efflite() -> PerceptualLoss:
    return perceptual_loss("efficientnet_lite0")


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    """A target of soft waves and a noisy version of it, (2,3,32,32)."""
    generator = torch.Generator().manual_seed(0)
    phase = torch.linspace(0, 9, 32)
    waves = (torch.sin(phase)[:, None] * torch.cos(phase)[None]).expand(2, 3, 32, 32)
    noisy = waves + 0.2 * torch.randn(waves.shape, generator=generator)
    return noisy.clamp(-1, 1), waves.clone()


def check_contract(loss: PerceptualLoss, x: Tensor, y: Tensor) -> None:
    """What every perceptual loss promises."""
    assert not any(p.requires_grad for p in loss.parameters())
    loss.train()
    assert not any(module.training for module in loss.modules())
    assert loss(y, y).item() == 0
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    value = loss(x, y)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.item() > 0
    value.backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert y.grad is None
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(x, y).item() == value.item()
    assert loss(x.bfloat16(), y).dtype == torch.float32


def test_efflite_keeps_the_contract(efflite: PerceptualLoss, images: tuple[Tensor, Tensor]) -> None:
    check_contract(efflite, *images)


def test_efflite_is_twice_one_minus_cosine(
    efflite: PerceptualLoss, images: tuple[Tensor, Tensor]
) -> None:
    assert isinstance(efflite, EffLitePerceptual)
    pairs = zip(*(efflite.network.features(image) for image in images), strict=True)
    stages = [(2 - 2 * F.cosine_similarity(x, y, dim=1)).mean().item() for x, y in pairs]
    expected = sum(stages[stage] for stage in (0, 1, 2, 4, 6)) / 5
    assert efflite(*images).item() == pytest.approx(expected, rel=1e-4)


def test_efflite_grows_with_the_damage(
    efflite: PerceptualLoss, images: tuple[Tensor, Tensor]
) -> None:
    noisy, clean = images
    distances = [efflite(clean.lerp(noisy, share), clean).item() for share in (0.1, 0.5, 1.0)]
    assert 0 < distances[0] < distances[1] < distances[2] < 4


def vgg16(weights: object) -> SimpleNamespace:
    """A random VGG16 with torchvision's layout."""
    assert weights == "imagenet"
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for blocks, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(blocks):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return SimpleNamespace(features=nn.Sequential(*layers))


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand in for torchvision, which the tests do not install."""
    lpips = pytest.importorskip("torchmetrics.functional.image.lpips")
    metric = pytest.importorskip("torchmetrics.image.lpip")
    models = SimpleNamespace(vgg16=vgg16, VGG16_Weights=SimpleNamespace(DEFAULT="imagenet"))
    module = ModuleType("torchvision")
    module.__spec__ = ModuleSpec("torchvision", None)
    monkeypatch.setattr(module, "models", models, raising=False)
    monkeypatch.setitem(sys.modules, "torchvision", module)
    for user in (lpips, metric):
        monkeypatch.setattr(user, "_TORCHVISION_AVAILABLE", True)
    return models


def test_lpips_keeps_the_contract(
    torchvision: SimpleNamespace, images: tuple[Tensor, Tensor]
) -> None:
    loss = perceptual_loss("lpips_vgg")
    assert isinstance(loss, LPIPSPerceptual)
    check_contract(loss, *images)


def test_lpips_uses_the_authors_linear_layers(
    torchvision: SimpleNamespace, images: tuple[Tensor, Tensor]
) -> None:
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    loss = LPIPSPerceptual()
    x, y = ((i - shift[:, None, None]) / scale[:, None, None] for i in images)
    expected, taps = 0.0, {3: 0, 8: 1, 15: 2, 22: 3, 29: 4}
    for index, layer in enumerate(vgg16("imagenet").features):
        x, y = layer(x), layer(y)
        if index in taps:
            weights = loss.network.lins[taps[index]].model[-1].weight
            assert (weights >= 0).all()
            assert weights.max() > 0
            gap = (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square()
            expected += (gap * weights).sum(1).mean().item()
    assert loss(*images).item() == pytest.approx(expected, rel=1e-3)


def test_lpips_without_torchvision_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ValueError, match=r"needs torchvision: pip install 'textok\[fid\]'"):
        perceptual_loss("lpips_vgg")


def test_lpips_without_its_download_names_the_file(
    torchvision: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(weights: object) -> SimpleNamespace:
        raise URLError("no network")

    monkeypatch.setattr(torchvision, "vgg16", offline)
    with pytest.raises(ValueError, match=r"no network.*vgg16-397923af\.pth"):
        perceptual_loss("lpips_vgg")


def test_none_is_zero(images: tuple[Tensor, Tensor]) -> None:
    assert perceptual_loss("none")(*images).item() == 0


def test_other_names_and_needless_paths_are_refused() -> None:
    with pytest.raises(ValueError, match="'lpips': choose efficientnet_lite0, lpips_vgg"):
        perceptual_loss("lpips")
    with pytest.raises(ValueError, match="'lpips_vgg' takes no path: remove 'x'"):
        perceptual_loss("lpips_vgg", path="x")
