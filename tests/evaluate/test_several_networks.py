"""Evaluations by several feature networks, of tokenizers that were trained against one of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from tests.evaluate.conftest import generate, reconstruct
from tests.evaluate.test_generation import Copier, data, painter
from tests.evaluate.test_reconstruction import originals
from textok.config import DataConfig
from textok.evaluate import (
    ImageGenerator,
    generation,
    read_generation_report,
    read_report,
    reconstruction,
)
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.frechet import FeatureStatistics, frechet_distance
from textok.metrics.image import from_8bit, to_8bit
from textok.nn.lpips import WEIGHTS_VARIABLE, load_lpips
from textok.pipeline import Reconstructor

CELLS = {"efficientnet_lite0": ("FD-EffLite0", 8), "vgg16": ("FD-VGG16", 4)}


def means(name: str, **settings: object) -> FeatureNetwork:
    """Means of 8 x 8 or 4 x 4 pixels in place of networks."""
    metric, cell = CELLS[name]
    return FeatureNetwork(
        name=name,
        metric=metric,
        width=3 * (16 // cell) ** 2,
        protocol=f"means of {cell} x {cell} pixels",
        extract=lambda images: functional.avg_pool2d(images, cell).flatten(1),
    )


@pytest.fixture
def _two(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reconstruction, generation):
        monkeypatch.setattr(module, "load_feature_network", means)


def noted(model: Path, names: object, folder: Path) -> Path:
    """The tokenizer in ``folder`` with the note of its losses, or without one."""
    shutil.copytree(model, folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    config["trained_with"] = names
    if names is None:
        del config["trained_with"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.usefixtures("_two")
def test_reconstructions_are_judged_by_the_other_network(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = noted(model("none"), ["efficientnet_lite0"], tmp_path / "model")
    out = tmp_path / "out"
    reconstruct(folder, data(pictures), out, feature_network=list(CELLS), pca=True, batch_size=4)
    report, text = read_report(out / "report.json"), (out / "report.md").read_text()
    images = originals(pictures, "test")
    tokenizer = Reconstructor.from_pretrained(folder)
    made = from_8bit(to_8bit(tokenizer.decode_tensor(tokenizer.encode(images))))

    def distance(name: str) -> float:
        extract = means(name).extract
        return frechet_distance(*(FeatureStatistics.of(extract(x)) for x in (made, images)))

    assert report.metric == "FD-VGG16"
    assert (report.trained_with, report.not_comparable) == (
        ["efficientnet_lite0"],
        ["FD-EffLite0", "perceptual"],
    )
    assert report.rows[0].frechet == pytest.approx(distance("vgg16"), rel=1e-2)
    assert report.rows[0].other_frechet == {
        "FD-EffLite0": pytest.approx(distance("efficientnet_lite0"), rel=1e-2)
    }
    assert [row.source for row in report.rows] == ["absent", "pca"]
    assert all(row.other_frechet["FD-EffLite0"] > 0 for row in report.rows)
    assert len(report.gates) == 1
    assert report.gates[0].frechet_ratio == pytest.approx(
        report.rows[0].frechet / report.rows[1].frechet
    )
    assert (
        "| captions | FD-VGG16 ↓ | FD-EffLite0 ↓ † | PSNR dB ↑ | SSIM ↑ | perceptual ↓ † |" in text
    )
    assert "† in a network that the model was trained against: not comparable" in text
    assert "does not say" not in text
    assert report.protocol["feature network"] == "means of 4 x 4 pixels"
    assert report.protocol["other feature networks"] == {"FD-EffLite0": "means of 8 x 8 pixels"}
    assert report.protocol["trained against"] == "efficientnet_lite0"
    assert [line.split(":")[0] for line in report.warnings] == ["FD-VGG16", "FD-EffLite0"]


@pytest.mark.usefixtures("_two")
def test_a_folder_without_the_note_is_said_to_be_one(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = noted(model("none"), None, tmp_path / "old")
    report = reconstruct(folder, data(pictures), tmp_path / "out", feature_network="vgg16")

    assert (report.metric, report.trained_with, report.not_comparable) == (
        "FD-VGG16",
        ["unknown"],
        [],
    )
    assert "The tokenizer's folder does not say which perceptual" in report.to_markdown()
    assert report.protocol["trained against"] == "unknown"


@pytest.mark.usefixtures("_two")
def test_generation_is_judged_by_the_other_network(pictures: Path, tmp_path: Path) -> None:
    drawer = replace(painter(Copier(pictures), classes=4), trained_with=("efficientnet_lite0",))
    settings: dict[str, Any] = {"num_images": 20, "batch_size": 6}
    report = generate(drawer, data(pictures), tmp_path, feature_network=list(CELLS), **settings)
    single = generate(
        drawer, data(pictures), tmp_path, feature_network="efficientnet_lite0", **settings
    )

    assert (report.metric, report.not_comparable) == ("FD-VGG16", ["FD-EffLite0"])
    assert single.metric == "FD-EffLite0"
    assert report.scores.other_frechet == {"FD-EffLite0": single.scores.frechet}
    assert report.scores.frechet != single.scores.frechet
    assert single.scores.other_frechet == {}
    assert list(report.scores.kernel) == ["KD-VGG16", "KD-EffLite0"]
    assert report.scores.kernel["KD-EffLite0"] == single.scores.kernel["KD-EffLite0"]
    assert report.scores.kernel["KD-EffLite0"].subset_size == 9
    assert "| 1000 KD-VGG16 ↓ | 1000 KD-EffLite0 ↓ † |" in report.to_markdown()
    assert single.warnings[0].startswith("FD-EffLite0 is in a network that the model was")
    assert read_generation_report(tmp_path / "report.json") == single
    assert "| pictures | FD-VGG16 ↓ | FD-EffLite0 ↓ † | 1000 KD-VGG16" in report.to_markdown()


def test_lpips_and_its_network_where_the_weights_are_at_hand(
    pictures: Path,
    model: Callable[[str], Path],
    lpips_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(lpips_file))
    folder = noted(model("both"), ["lpips_vgg"], tmp_path / "model")
    report = reconstruct(
        folder,
        data(pictures),
        tmp_path / "out",
        caption_modes=["true", "shuffled"],
        limit=3,
        sheet_rows=1,
    )
    images = originals(pictures, "test")[::3]
    tokenizer = Reconstructor.from_pretrained(folder)
    captions = [f"picture number {number}" for number in (0, 3, 6)]
    made = tokenizer.decode_tensor(tokenizer.encode(images, captions), captions)
    with torch.no_grad():
        expected = load_lpips("vgg")(from_8bit(to_8bit(made)), images)

    assert (report.metric, list(report.rows[0].other_frechet)) == ("FD-EffLite0", ["FD-VGG16"])
    assert report.not_comparable == ["FD-VGG16", "lpips"]
    assert [set(row.metrics) for row in report.rows] == [
        {"psnr", "ssim", "perceptual", "lpips"}
    ] * 2
    found = report.rows[0].metrics["lpips"]
    assert found.mean == pytest.approx(expected.mean().item(), rel=1e-3)
    assert found.low < found.mean < found.high
    assert "LPIPS ↓ †" in report.to_markdown()
    assert report.protocol["not measured"] == "LPIPS by alex (takes images of 31 px or more)"
    assert report.protocol["metrics"]["lpips"].startswith("VGG16, version 0.1")


def test_without_the_weights_the_protocol_says_how_to_get_them(
    pictures: Path, model: Callable[[str], Path], no_lpips: Path, tmp_path: Path
) -> None:
    report = reconstruct(model("none"), data(pictures), tmp_path, limit=2, sheet_rows=1)

    assert "lpips" not in report.rows[0].metrics
    assert report.rows[0].other_frechet == {}
    assert "make that file with `textok convert lpips`" in report.protocol["not measured"]


def test_classes_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def network(name: str, **settings: object) -> FeatureNetwork:
        few = means("vgg16")
        return FeatureNetwork(
            name=name, metric="FD", width=few.width, protocol="p", extract=few.extract
        )

    monkeypatch.setattr(generation, "load_feature_network", network)
    write_classes(tmp_path / "data")
    colours = {"blue": [-1.0, -1.0, 0.6], "green": [-1.0, 0.6, -1.0], "red": [0.6, -1.0, -1.0]}

    def draw(wanted: Any, seeds: Any) -> torch.Tensor:
        """Each class as it is, but every green picture red."""
        shown = ["red" if name == "green" else name for name in wanted]
        return torch.stack(
            [torch.tensor(colours[name])[:, None, None].expand(3, 16, 16) for name in shown]
        )

    report = generate(
        ImageGenerator(name="p", image_size=16, classes=list(colours), settings={}, draw=draw),
        DataConfig(path=str(tmp_path / "data"), split="test", workers=0),
        tmp_path / "out",
        num_images=12,
    )
    accuracy = read_generation_report(tmp_path / "out" / "report.json").scores.class_accuracy

    assert accuracy == report.scores.class_accuracy
    assert accuracy is not None
    assert (accuracy.classes, accuracy.training_images) == (3, 24)
    assert accuracy.real.mean == 1.0
    assert accuracy.drawn.mean == pytest.approx(2 / 3)
    assert accuracy.position == pytest.approx(0.5)
    text = report.to_markdown()
    assert "The class among 3, by a linear probe of 24 images." in text
    assert "| drawn | 0.667 (" in text
    assert "| chance (floor) | 0.333 |" in text
    assert "| position of drawn | 0.50 |" in text
    assert report.protocol["class accuracy"].startswith("ridge regression")


def write_classes(folder: Path) -> None:
    """Folders of classes, pictures of about one colour each."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 4)):
        for channel, name in enumerate(("red", "green", "blue")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 60, (16, 16, 3), dtype=np.uint8)
                pixels[..., channel] += 150
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
