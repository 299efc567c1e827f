from __future__ import annotations

import pytest
import torch
from torch import Tensor

from textok.metrics import image as image_metrics
from textok.metrics.image import (
    PSNR_LIMIT,
    from_8bit,
    load_image_metrics,
    perceptual_metric,
    psnr,
    ssim,
    to_8bit,
)
from textok.nn.efficientnet_lite import EfficientNetLite0


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


def test_a_metric_that_is_not_at_hand_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(device: torch.device | str) -> image_metrics.ImageMetric:
        raise ValueError("LPIPS needs textok[fid]")

    monkeypatch.setattr(image_metrics, "load_lpips", missing)
    metrics, absent = load_image_metrics(EfficientNetLite0(), "cpu")

    assert list(metrics) == ["psnr", "ssim", "perceptual"]
    assert absent == ["LPIPS needs textok[fid]"]
