from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tests.evaluate.conftest import generate
from tests.together import together
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.data.pixels import to_tensor
from textok.evaluate import (
    GenerationReport,
    ImageGenerator,
    generation,
    read_generation_report,
)
from textok.metrics.clip_score import ClipScore
from textok.metrics.feature_network import FeatureNetwork
from textok.runtime.own_folder import MARKER

TEST, SIZE, COUNT = 9, 16, 20


def data(pictures: Path, split: str = "test") -> DataConfig:
    return DataConfig(path=str(pictures), split=split, workers=0)


def few_features(name: str, **settings: object) -> FeatureNetwork:
    """The means of 4 x 4 pixels in place of a network, and logits as Inception would have."""
    return FeatureNetwork(
        name=name,
        metric="FD-means",
        width=48,
        protocol="means of 4 x 4 pixels",
        extract=lambda images: functional.avg_pool2d(images, 4).flatten(1),
        logits=(lambda features: features[:, :10]) if name == "inception" else None,
    )


def embed(captions: Sequence[str]) -> Tensor:
    """A direction a caption, by chance."""
    rows = []
    for caption in captions:
        seed = int.from_bytes(hashlib.sha256(caption.encode()).digest()[:4], "big")
        rows.append(torch.randn(6, generator=torch.Generator().manual_seed(seed)))
    return torch.stack(rows)


class Copier:
    """Draws the real image of a caption or class, and notes what it was asked for."""

    def __init__(self, pictures: Path, *, stop_at: int = 10**9) -> None:
        images = open_captioned_images(data(pictures), image_size=SIZE)
        self.images = [to_tensor(images.read(place)) for place in range(TEST)]
        self.places = {
            caption: place
            for place, record in enumerate(images.records)
            for caption in (*record.captions, f"class {place}")
        }
        self.asked: list[tuple[str, int]] = []
        self._stop_at = stop_at

    def __call__(self, wanted: Sequence[str], seeds: Sequence[int]) -> Tensor:
        if len(self.asked) >= self._stop_at:
            raise KeyboardInterrupt
        self.asked += zip(wanted, seeds, strict=True)
        return torch.stack([self.images[self.places[asked]] for asked in wanted])


def painter(draw: Copier, *, classes: int = 0, steps: int = 4) -> ImageGenerator:
    return ImageGenerator(
        name="copier",
        image_size=SIZE,
        classes=[f"class {number}" for number in range(classes)],
        settings={"sampling": {"steps": steps}},
        draw=draw,
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "load_feature_network", few_features)
    monkeypatch.setattr(generation, "caption_embedder", lambda cache, device: embed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """An evaluation of 20 copies of the 9 test images, with every metric."""
    out = tmp_path_factory.mktemp("generation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "load_feature_network", few_features)
        patch.setattr(generation, "caption_embedder", lambda cache, device: embed)
        patch.setattr(
            generation,
            "load_clip_score",
            lambda model, device: ClipScore(name=model, score=lambda x, texts: 50 + x[:, 0, 0, 0]),
        )
        generate(
            painter(Copier(pictures)),
            data(pictures),
            out,
            num_images=COUNT,
            feature_network="inception",
            clip="some-clip",
            npz=True,
            seed=100,
            batch_size=6,
        )
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> GenerationReport:
    return read_generation_report(folder / "report.json")


def test_few_images_are_enough_where_no_score_needs_more(pictures: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "load_feature_network", few_features)
        report = generate(painter(Copier(pictures)), data(pictures), tmp_path, num_images=4)
        assert report.scores.pictures == 4


def test_copies_of_the_real_images_look_like_them(report: GenerationReport) -> None:
    scores = report.scores

    assert (scores.manifold.precision, scores.manifold.recall) == (1.0, 1.0)
    assert scores.pictures == COUNT
    assert scores.frechet < 0.2  # 20 of 9: two images are there three times
    assert scores.inception is not None
    assert scores.inception.mean > 1.0
    assert scores.clip is not None
    assert scores.clip.drawn.mean == pytest.approx(scores.clip.real.mean, abs=0.3)


def test_copies_are_as_well_aligned_and_as_far_from_training_as_real_ones(
    report: GenerationReport,
) -> None:
    alignment, copies = report.scores.alignment, report.scores.memorisation
    assert alignment is not None
    assert copies is not None

    assert (alignment.candidates, alignment.training_pairs) == (TEST, 40)
    assert alignment.drawn.at_5.mean == pytest.approx(alignment.real.at_5.mean, abs=0.1)
    assert copies.training_images == 40
    assert copies.drawn["50 %"] == pytest.approx(copies.real["50 %"], rel=0.2)
    assert copies.closer == pytest.approx(1 / TEST, abs=0.05)  # the nearest image, and no other


def test_protocol_is_written(report: GenerationReport, pictures: Path) -> None:
    protocol = report.protocol

    assert (report.model, report.metric) == ("copier", "FD-means")
    assert report.settings == {"sampling": {"steps": 4}}
    assert (protocol["data"], protocol["split"]) == (str(pictures), "test")
    assert (protocol["pictures"], protocol["images"]) == (COUNT, TEST)
    assert protocol["drawn by"] == "the first caption of each image"
    assert protocol["seeds"] == "100 to 119, one a picture"
    assert protocol["training images"] == "40 of train"
    assert protocol["CLIP score"].startswith("some-clip: 100 x max(cosine, 0)")
    assert protocol["command"] == "none: evaluate_generation was called from Python"
    assert "not measured" not in protocol
    assert report.warnings == [
        "9 images are fewer than the 48 features: the Frechet distance is biased upwards and "
        "compares only with values from the same 9 images"
    ]


def test_distances_to_a_reference_file(folder: Path, pictures: Path, tmp_path: Path) -> None:
    """To the images that an evaluation drew, the same images have no distance; nor to their
    statistics."""
    drawn = folder / "samples.npz"
    settings = {"num_images": COUNT, "feature_network": "inception", "seed": 100}
    to_images = generate(
        painter(Copier(pictures)), data(pictures), tmp_path / "a", reference=drawn, **settings
    )
    assert to_images.scores.frechet == pytest.approx(0, abs=1e-6)
    assert to_images.scores.manifold.precision == 1.0  # to the split, as before
    assert to_images.protocol["reference of Frechet distances"].startswith("samples.npz, images; ")

    network = few_features("inception", weights=None)
    with np.load(drawn) as stored:
        pixels = torch.from_numpy(stored["arr_0"]).permute(0, 3, 1, 2) / 127.5 - 1
    features = network.extract(pixels).double()
    statistics = tmp_path / "statistics.npz"
    mean, covariance = features.mean(0) + 2, features.T.cov()
    np.savez(statistics, mu=mean.numpy(), sigma=covariance.numpy())
    shifted = generate(
        painter(Copier(pictures)), data(pictures), tmp_path / "b", reference=statistics, **settings
    )
    # The same covariance and a mean that is 2 away in each of F features: 4 F.
    assert shifted.scores.frechet == pytest.approx(4 * network.width, rel=1e-4)


def test_a_reference_of_another_network_is_refused_before_anything_is_drawn(
    pictures: Path, tmp_path: Path
) -> None:
    file = tmp_path / "statistics.npz"
    np.savez(file, mu=np.zeros(5), sigma=np.eye(5))
    with pytest.raises(ValueError, match="mu has 5 features, but"):
        generate(
            painter(Copier(pictures)),
            data(pictures),
            tmp_path / "out",
            reference=file,
            feature_network="inception",
            num_images=COUNT,
        )
    assert not (tmp_path / "out").exists()


def test_what_lies_in_the_folder(folder: Path) -> None:
    names = ["distances.png", "memorisation.png", "report.json", "report.md", "samples.npz"]

    assert sorted(path.name for path in folder.iterdir()) == [MARKER, *names, "sheet.png"]
    assert Image.open(folder / "sheet.png").height > 16 * 96
    assert Image.open(folder / "memorisation.png").width > 8 * 96


def test_npz_holds_the_pictures(folder: Path, pictures: Path) -> None:
    images = open_captioned_images(data(pictures), image_size=SIZE)
    with np.load(folder / "samples.npz") as stored:
        assert stored.files == ["arr_0"]
        assert stored["arr_0"].shape == (COUNT, SIZE, SIZE, 3)
        assert np.array_equal(stored["arr_0"][10], images.read(1))


def test_classes_are_drawn_in_turn(pictures: Path, tmp_path: Path) -> None:
    draw = Copier(pictures)
    report = generate(
        painter(draw, classes=4), data(pictures), tmp_path, num_images=10, npz=True, batch_size=5
    )

    assert [asked for asked, _ in draw.asked[:5]] == [f"class {n}" for n in (0, 1, 2, 3, 0)]
    assert report.scores.alignment is None
    assert report.scores.clip is None
    assert report.scores.memorisation is not None
    assert report.protocol["not measured"] == (
        "Inception Score (needs the feature network inception); CLIP score, text alignment (the "
        "generator takes classes); class accuracy (needs real images of these classes, in training "
        "of two or more)"
    )
    with np.load(tmp_path / "samples.npz") as stored:
        assert stored["arr_1"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_an_interrupted_evaluation_draws_nothing_twice(pictures: Path, tmp_path: Path) -> None:
    first, second = Copier(pictures, stop_at=8), Copier(pictures)
    with pytest.raises(KeyboardInterrupt):
        generate(painter(first), data(pictures), tmp_path, num_images=COUNT, batch_size=4)
    assert (tmp_path / ".drawn").is_dir()
    report = generate(painter(second), data(pictures), tmp_path, num_images=COUNT, batch_size=4)

    assert [seed for _, seed in first.asked + second.asked] == list(range(COUNT))
    assert len(first.asked) == 8
    assert report.scores.manifold.precision == 1.0
    assert not (tmp_path / ".drawn").exists()


def test_pictures_of_other_settings_are_not_taken(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        generate(
            painter(Copier(pictures, stop_at=8)),
            data(pictures),
            tmp_path,
            batch_size=4,
            num_images=10,
        )
    draw = Copier(pictures)
    generate(painter(draw, steps=5), data(pictures), tmp_path, batch_size=4, num_images=10)

    assert len(draw.asked) == 10


def test_data_without_a_train_split(pictures: Path, tmp_path: Path) -> None:
    report = generate(painter(Copier(pictures)), data(pictures / "test"), tmp_path, num_images=10)

    assert report.scores.memorisation is None
    assert report.scores.alignment is None
    assert "text alignment (the data have no other train split)" in report.protocol["not measured"]
    assert not (tmp_path / "memorisation.png").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_images": 3}, "num_images is 3: it must be >= 4"),
        ({"num_images": 9, "feature_network": "inception"}, "num_images is 9: it must be >= 10"),
        ({"batch_size": 0}, "batch_size is 0: it must be >= 1"),
        ({"probe_images": 0}, "probe_images is 0: it must be >= 1"),
        ({"limit": 3, "num_images": 10}, ": 3 images are too few to judge by"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    settings: dict[str, Any], message: str, pictures: Path, tmp_path: Path
) -> None:
    draw = Copier(pictures)
    with pytest.raises(ValueError, match=message):
        generate(painter(draw), data(pictures), tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()
    assert draw.asked == []


def test_two_processes_find_what_one_finds(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = _evaluation(pictures, tmp_path / "one")
    monkeypatch.setenv("WORLD_SIZE", "2")
    together(_evaluate, tmp_path / "store", pictures, tmp_path / "two", processes=2)
    two = read_generation_report(tmp_path / "two" / "report.json")

    assert two.scores == one.scores
    drawn = [(tmp_path / f"drawn-{rank}").read_text().split() for rank in range(2)]
    assert sorted(map(int, drawn[0] + drawn[1])) == list(range(COUNT))
    assert drawn[0][:3] == ["0", "1", "2"]
    assert drawn[1][:3] == ["3", "4", "5"]


def _evaluation(pictures: Path, out: Path, draw: Copier | None = None) -> GenerationReport:
    return generate(
        painter(draw or Copier(pictures)), data(pictures), out, num_images=COUNT, batch_size=3
    )


def _evaluate(rank: int, store: Path, pictures: Path, out: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    draw = Copier(pictures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "load_feature_network", few_features)
        patch.setattr(generation, "caption_embedder", lambda cache, device: embed)
        report = _evaluation(pictures, out, draw)
    assert report.scores.pictures == COUNT  # every process gets the report
    (out.parent / f"drawn-{rank}").write_text(" ".join(str(seed) for _, seed in draw.asked))
    torch.distributed.barrier()  # gloo may abort where one leaves while the other still reads
    torch.distributed.destroy_process_group()
