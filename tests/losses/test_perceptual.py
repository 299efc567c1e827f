from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from textok.losses.perceptual import (
    EffLitePerceptual,
    LPIPSPerceptual,
    PerceptualLoss,
    perceptual_loss,
)
from textok.nn.lpips import BACKBONES, Backbone, load_lpips


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


@pytest.mark.parametrize("backbone", BACKBONES)
def test_lpips_keeps_the_contract(
    backbone: Backbone, lpips_file: Path, images: tuple[Tensor, Tensor]
) -> None:
    loss = perceptual_loss(f"lpips_{backbone}", path=str(lpips_file))
    assert isinstance(loss, LPIPSPerceptual)
    check_contract(loss, *images)


def test_lpips_is_the_mean_of_the_metric(lpips_file: Path, images: tuple[Tensor, Tensor]) -> None:
    metric = load_lpips("alex", path=lpips_file)
    loss = perceptual_loss("lpips_alex", path=str(lpips_file))
    assert loss(*images).item() == pytest.approx(metric(*images).mean().item(), rel=1e-6)


def test_lpips_without_its_file_names_the_command(no_lpips: Path) -> None:
    with pytest.raises(ValueError, match=f"not at {no_lpips}: make that file with `textok conver"):
        perceptual_loss("lpips_vgg")


def test_none_is_zero(images: tuple[Tensor, Tensor]) -> None:
    assert perceptual_loss("none")(*images).item() == 0


def test_other_names_and_needless_paths_are_refused() -> None:
    with pytest.raises(ValueError, match="'lpips': choose efficientnet_lite0, lpips_alex, lpips_v"):
        perceptual_loss("lpips")
    with pytest.raises(ValueError, match="'none' takes no path: remove 'x'"):
        perceptual_loss("none", path="x")


NETWORKS = ("efficientnet_lite0", "lpips_alex")


class Touch:
    """Pickled, a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        *((name, file) for name in NETWORKS for file in ("a.pt", "a.safetensors", "plain.pt")),
        ("convnext", "model/pytorch_model.bin"),
    ],
)
def test_a_path_to_a_pickle_is_one_line_and_runs_nothing(
    name: str, file: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path, executed = tmp_path / file, tmp_path / "executed"
    path.parent.mkdir(exist_ok=True)
    if file == "plain.pt":
        path.write_bytes(pickle.dumps(Touch(executed)))
    else:
        torch.save({"a": Touch(executed)}, path)
    if file.endswith(".bin"):
        config = {"model_type": "convnext", "num_labels": 1000}
        (path.parent / "config.json").write_text(json.dumps(config))
    named = path.parent if file.endswith(".bin") else path
    with pytest.raises(ValueError, match=re.escape(str(named))) as error:
        perceptual_loss(name, path=str(named))
    assert "\n" not in str(error.value)
    assert not executed.exists()
    assert [warning for warning in recwarn if "pickle" in str(warning.message)] == []
    pickle.loads(pickle.dumps(Touch(executed)))
    assert executed.exists()  # read without care it would have been
