from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.losses.test_perceptual import check_contract, images
from textok.losses.perceptual import HubClassifier, LogitsDistance, logits_loss, perceptual_loss
from textok.nn.efficientnet_lite import load_efficientnet_lite0

__all__ = ["images"]


def save(kind: str, folder: Path, *, classes: int = 1000) -> str:
    """A tiny random classifier in the transformers format; returns its folder."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_sizes": [4, 4, 8, 8], "depths": [1, 1, 1, 1]}
    if kind == "ConvNext":
        shape["drop_path_rate"] = 0.5
    else:
        shape["embedding_size"] = 4
    config = getattr(transformers, f"{kind}Config")(num_labels=classes, **shape)
    model = getattr(transformers, f"{kind}ForImageClassification")(config)
    for name, value in model.named_parameters():
        if "norm" not in name:
            nn.init.normal_(value, std=0.3)
    for name, value in model.named_buffers():
        if "running_mean" in name:
            nn.init.normal_(value, std=0.1)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["convnext", "resnet50"])
def named(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A classifier's name, and a folder with a small one of that kind."""
    kind = {"convnext": "ConvNext", "resnet50": "ResNet"}[request.param]
    return request.param, save(kind, tmp_path)


def test_hub_classifiers_keep_the_contract(
    named: tuple[str, str], images: tuple[Tensor, Tensor]
) -> None:
    name, folder = named
    check_contract(logits_loss(name, path=folder), *images)


def test_lite0_keeps_the_contract(images: tuple[Tensor, Tensor]) -> None:
    check_contract(logits_loss("efficientnet_lite0"), *images)


def test_logits_of_normalised_224_px_images_are_compared(named: tuple[str, str]) -> None:
    name, folder = named
    loss = logits_loss(name, path=folder)
    assert isinstance(loss.classify, HubClassifier)
    black, white = torch.full((1, 3, 8, 8), -1.0), torch.full((1, 3, 8, 8), 1.0)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    flat = torch.stack([(0 - mean) / std, (1 - mean) / std])[:, :, None, None]
    with torch.no_grad():
        logits = loss.classify.network(flat.expand(2, 3, 224, 224)).logits
    expected = (logits[0] - logits[1]).square().mean().item()
    assert expected > 0
    assert loss(white, black).item() == pytest.approx(expected, rel=1e-4)


def test_lite0_compares_its_logits(images: tuple[Tensor, Tensor]) -> None:
    noisy, clean = images
    network = load_efficientnet_lite0()
    expected = (network(noisy) - network(clean)).square().sum().item() / (2 * 1000)
    loss = logits_loss("efficientnet_lite0")
    assert loss(noisy, clean).item() == pytest.approx(expected, rel=1e-4)


def test_the_perceptual_network_convnext_is_the_same_distance(
    tmp_path: Path, images: tuple[Tensor, Tensor]
) -> None:
    folder = save("ConvNext", tmp_path)
    old = perceptual_loss("convnext", path=folder)
    assert isinstance(old, LogitsDistance)
    assert old(*images).item() == logits_loss("convnext", path=folder)(*images).item() > 0


def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    for name in ("convnext", "resnet50"):
        with pytest.raises(ValueError, match=rf"{name}: cannot load .*nowhere"):
            logits_loss(name, path=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="'vgg': choose efficientnet_lite0 or convnext or resnet"):
        logits_loss("vgg")


def test_another_network_is_refused(tmp_path: Path) -> None:
    """transformers would fill in what is missing at random."""
    with pytest.raises(ValueError, match=r"resnet50: .* is not that classifier with 1000 classes"):
        logits_loss("resnet50", path=save("ConvNext", tmp_path / "convnext"))
    few = save("ResNet", tmp_path / "few", classes=7)
    with pytest.raises(ValueError, match=r"resnet50: .* is not that classifier with 1000 classes"):
        logits_loss("resnet50", path=few)


def test_a_folder_with_damaged_or_other_weights_is_named(tmp_path: Path) -> None:
    folder = Path(save("ConvNext", tmp_path))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="convnext: cannot load"):
        logits_loss("convnext", path=str(folder))
    weights.unlink()
    for content in (b"no pickle", pickle.dumps({"a": Path("/")}), b"PK\x03\x04", b""):
        (folder / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(ValueError, match="convnext: cannot load"):
            logits_loss("convnext", path=str(folder))
