"""Tiny random networks, as transformers saves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.nn import functional

from textok.metrics.features import load_feature_network
from textok.metrics.image import from_8bit, to_8bit
from textok.metrics.vision_models import load_vision_model

TOWER = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
STAGES = {"depths": [1, 1, 1, 1], "hidden_sizes": [4, 4, 8, 12], "image_size": 32}
MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


def dinov2(folder: Path) -> Any:
    return transformers.Dinov2Model(transformers.Dinov2Config(**TOWER))


def clip(folder: Path) -> Any:
    """The whole CLIP, of which the text tower is left out."""
    words = {key: value for key, value in TOWER.items() if "size" not in key or "hid" in key}
    text = {**words, "intermediate_size": 32, "vocab_size": 7, "max_position_embeddings": 6}
    config = transformers.CLIPConfig(text_config=text, vision_config=TOWER, projection_dim=6)
    return transformers.CLIPModel(config)


def convnext(folder: Path) -> Any:
    """With the classifier that published weights come with."""
    return transformers.ConvNextForImageClassification(transformers.ConvNextConfig(**STAGES))


def convnextv2(folder: Path) -> Any:
    return transformers.ConvNextV2Model(transformers.ConvNextV2Config(**STAGES))


def siglip(folder: Path) -> Any:
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**TOWER))


def saved(folder: Path, make: Callable[[Path], Any], **preprocessor: object) -> Any:
    torch.manual_seed(0)
    model = make(folder).eval()
    model.save_pretrained(folder)
    if preprocessor:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return model


def images(size: int) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def prepared(batch: Tensor, size: int, mode: str = "bicubic") -> Tensor:
    pixels = from_8bit(to_8bit(batch))
    if batch.shape[-1] != size:
        pixels = functional.interpolate(pixels, (size, size), mode=mode, antialias=True)
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return ((pixels.clamp(-1, 1) + 1) / 2 - mean) / std


CASES = [
    (dinov2, "FD-DINOv2", 16, 8),
    (clip, "FD-CLIP", 6, 8),
    (convnext, "FD-ConvNeXt", 12, 32),
    (convnextv2, "FD-ConvNeXtV2", 12, 32),
    (siglip, "FD-SigLIP", 16, 8),
]


@pytest.mark.parametrize(("make", "metric", "width", "size"), CASES)
def test_features_of_each_family(
    make: Callable[[Path], Any], metric: str, width: int, size: int, tmp_path: Path
) -> None:
    model = saved(
        tmp_path,
        make,
        do_center_crop=True,
        crop_size={"height": size, "width": size},
        size={"shortest_edge": size + 3},
        image_mean=MEAN,
        image_std=STD,
        resample=3,
    )
    network = load_vision_model(tmp_path)

    assert (network.metric, network.width) == (metric, width)
    assert f"resized to {size} px (bicubic" in network.protocol
    for batch in (images(size), images(size + 5)):
        pixels = prepared(batch, size)
        with torch.no_grad():
            if make is clip:
                tower = model.vision_model(pixel_values=pixels).pooler_output
                expected = model.visual_projection(tower)
            else:
                base = getattr(model, "convnext", model)
                expected = base(pixel_values=pixels).pooler_output
        torch.testing.assert_close(network.extract(batch), expected, rtol=1e-4, atol=1e-5)


def with_registers(folder: Path) -> Any:
    config = transformers.Dinov2WithRegistersConfig(**TOWER, num_register_tokens=3)
    return transformers.Dinov2WithRegistersModel(config)


@pytest.mark.parametrize(
    ("make", "size", "shape", "leading"),
    [
        (dinov2, 8, (16, 2, 2), 1),
        (with_registers, 12, (16, 3, 3), 4),
        (clip, 8, (16, 2, 2), 1),
        (siglip, 8, (16, 2, 2), 0),
        (convnext, 64, (12, 2, 2), 0),
    ],
)
def test_feature_maps_have_the_patches_in_their_places(
    make: Callable[[Path], Any],
    size: int,
    shape: tuple[int, int, int],
    leading: int,
    tmp_path: Path,
) -> None:
    """Of a ViT without the tokens in front of the patches, row by row."""
    model = saved(tmp_path, make, size=size, image_mean=MEAN, image_std=STD, resample=3)
    network = load_vision_model(tmp_path)
    assert network.feature_map is not None
    found = network.feature_map(images(size + 5))

    tower = getattr(model, "vision_model", getattr(model, "convnext", model))
    with torch.no_grad():
        states = tower(pixel_values=prepared(images(size + 5), size)).last_hidden_state
    if states.ndim == 3:
        states = states[:, leading:].transpose(1, 2).reshape(2, *shape)
    assert found.shape == (2, *shape)
    torch.testing.assert_close(found, states, rtol=1e-4, atol=1e-5)


def test_dinov2_gives_its_class_token(tmp_path: Path) -> None:
    model = saved(tmp_path, dinov2, size=8, image_mean=MEAN, image_std=STD, resample=2)
    with torch.no_grad():
        tokens = model(pixel_values=prepared(images(20), 8, "bilinear")).last_hidden_state

    found = load_vision_model(tmp_path).extract(images(20))
    torch.testing.assert_close(found, tokens[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "size", "mean", "std"),
    [
        (dinov2, 224, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        (
            clip,
            8,
            [0.48145466, 0.4578275, 0.40821073],
            [0.26862954, 0.26130258, 0.27577711],
        ),
    ],
)
def test_without_a_preprocessor_config(
    make: Callable[[Path], Any], size: int, mean: list[float], std: list[float], tmp_path: Path
) -> None:
    model = saved(tmp_path, make)
    network = load_vision_model(tmp_path)
    grey = torch.full((1, 3, size, size), 51 / 255)
    colours = [torch.tensor(values).view(3, 1, 1) for values in (mean, std)]
    pixels = (grey - colours[0]) / colours[1]
    with torch.no_grad():
        expected = (
            model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
            if make is clip
            else model(pixel_values=pixels).pooler_output
        )

    assert f"resized to {size} px" in network.protocol
    torch.testing.assert_close(network.extract(grey * 2 - 1), expected, rtol=1e-4, atol=1e-5)


def test_protocol_names_the_weights(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
        saved(folder, siglip)
    torch.manual_seed(9)
    siglip(folders[2]).save_pretrained(folders[2])
    first, same, other = (load_vision_model(folder).protocol for folder in folders)

    assert first == same != other


def test_is_named_by_folder_in_settings(tmp_path: Path) -> None:
    saved(tmp_path, dinov2, size=8)

    assert load_feature_network(str(tmp_path)).metric == "FD-DINOv2"


def test_what_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    missing = tmp_path / "missing"
    with pytest.raises(ValueError, match=f"feature network: there is no folder {missing}"):
        load_vision_model(missing)
    with pytest.raises(ValueError, match=r"has no config\.json: not a model folder"):
        load_vision_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="is of type 'bert'; supported: dinov2, dinov2_with"):
        load_vision_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip_vision_model"}))
    with pytest.raises(ValueError, match="feature network: cannot load"):
        load_vision_model(tmp_path)


def test_weights_of_another_size_are_not_filled_up(tmp_path: Path) -> None:
    saved(tmp_path, convnextv2)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "depths": [1, 1, 2, 1]}))

    with pytest.raises(ValueError, match=r"lack \d+ tensors of ConvNextV2Model: "):
        load_vision_model(tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": {"height": 8, "width": 12}}, "are not squares"),
        ({"size": {"longest_edge": "8"}}, "are not squares"),
        ({"image_mean": [0.5, 0.5]}, r"image_mean is \[0.5, 0.5\]: it must be three numbers"),
        ({"image_std": [0.5, 0.5, 0]}, "image_std is .*: it must be above 0"),
        ({"size": 12}, "does not take images of 12 px"),
    ],
)
def test_preprocessor_configs_that_do_not_fit(
    given: dict[str, object], message: str, tmp_path: Path
) -> None:
    saved(tmp_path, clip, **given)

    with pytest.raises(ValueError, match=message):
        load_vision_model(tmp_path)
