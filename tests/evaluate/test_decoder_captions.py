"""What the decoder reads of a class, and what reports say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tests.evaluate.conftest import generate
from textok.config import DataConfig
from textok.data import CaptionedImages, ReadReport, Record
from textok.data.class_captions import ClassCaptions
from textok.evaluate import GenerationReport, ImageGenerator, generation
from textok.evaluate.decoder_captions import caption_source, captions_of_others, describe_captions
from textok.evaluate.samples import Samples, samples_by_class
from textok.metrics.feature_network import FeatureNetwork

CLASSES = ("cat", "dog")


def images(*records: tuple[str | None, tuple[str, ...]]) -> CaptionedImages:
    return CaptionedImages(
        config=DataConfig(path="here", split="test"),
        image_size=8,
        records=[
            Record(key=str(place), captions=captions, label=label, file=Path(str(place)))
            for place, (label, captions) in enumerate(records)
        ],
        classes=list(CLASSES),
        report=ReadReport(),
    )


PETS = images(
    ("cat", ("a grey cat", "cat")),
    ("cat", ("a grey cat",)),
    ("cat", ("a black cat",)),
    ("cat", ()),
    ("dog", ("a big dog",)),
    ("dog", ("a small dog", "dog")),
)


def drawn(
    measured: CaptionedImages, *, seed: int = 0, count: int = 40
) -> tuple[Samples, list[str]]:
    samples = samples_by_class(measured, count=count, classes=CLASSES, seed=seed)
    return samples, captions_of_others(samples, measured, PETS)


def test_captions_are_of_another_image_of_the_class() -> None:
    samples, captions = drawn(PETS)
    others = {0: {"a black cat"}, 1: {"a black cat"}, 2: {"a grey cat"}, 4: {"a small dog"}}
    others |= {3: {"a grey cat", "a black cat"}, 5: {"a big dog"}}
    found: dict[int, set[str]] = {}
    for twin, caption in zip(samples.twins, captions, strict=True):
        assert twin is not None
        found.setdefault(twin, set()).add(caption)

    assert found == others  # never of the same wording where there is another
    assert drawn(PETS) == (samples, captions)
    assert drawn(PETS, seed=2)[1] != captions  # of the same classes and twins


def test_images_that_are_not_measured_go_first() -> None:
    measured = replace(PETS, records=[PETS.records[place] for place in (2, 4, 1)])
    _, captions = drawn(measured)

    assert set(captions[::2]) == {"a grey cat"} and set(captions[1::2]) == {"a small dog"}
    # The grey cat is the wording of a measured image, the small dog of none.
    said = describe_captions("it", captions, measured, called="those")
    assert said == "it; 20 of 40 are captions of those"


def test_a_class_without_another_image_is_named() -> None:
    one = replace(PETS, records=PETS.records[2:5])
    samples = samples_by_class(one, count=4, classes=CLASSES, seed=0)
    message = "here has no other captioned image of the class 'cat': choose held_out, class_name"
    with pytest.raises(ValueError, match=message):
        captions_of_others(samples, one, one)
    # Without a twin every image of the class is another one.
    apart = replace(samples, twins=[None] * 4)
    assert captions_of_others(apart, one, one) == ["a black cat", "a big dog"] * 2


def test_the_source_in_words() -> None:
    held = {"cat": ClassCaptions(train=("t",), held_out=("h",)), "dog": ClassCaptions(train=("t",))}

    def source(choice: str, classes: Sequence[str] = CLASSES, reads: bool = True) -> str:
        return caption_source(
            choice,  # type: ignore[arg-type]
            classes=classes,
            class_captions=held,
            reads_text=reads,
        )

    assert source("held_out", ["cat"]).startswith("a caption of the class held out from training")
    assert "held out from training for 1 of 2 classes, else one of training" in source("held_out")
    assert source("other_image").startswith("the first caption of another image of the class")
    assert source("class_name") == "a sentence with the name of the class"
    assert source("none") == "no caption"
    assert source("held_out", ()) == "the captions that the images are generated from"
    assert source("held_out", reads=False) == "no text"
    for given, words in (
        (["cat", "a big dog"], "it; all are captions of those"),
        (["a dog"], "it; none are captions of those"),
        (["", ""], "it"),
        (None, "it"),
    ):
        assert describe_captions("it", given, PETS, called="those") == words


def few_features(name: str, **settings: object) -> FeatureNetwork:
    return FeatureNetwork(
        name=name,
        metric="FD-means",
        width=3,
        protocol="means",
        extract=lambda images: functional.adaptive_avg_pool2d(images, 1).flatten(1),
    )


class Painter:
    """Draws noise, and notes what the decoder is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, str]] = []

    def __call__(self, names: Sequence[str], seeds: Sequence[int]) -> Tensor:
        rows = [torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return torch.stack(rows) / 4

    def captioned(self, names: Sequence[str], seeds: Sequence[int], texts: Sequence[str]) -> Tensor:
        self.told += zip(names, seeds, texts, strict=True)
        return self(names, seeds)

    def generator(self, *, told: bool = True) -> ImageGenerator:
        return ImageGenerator(
            name="painter",
            image_size=8,
            classes=CLASSES,
            settings={},
            caption_source="something of the class",
            decoder_caption=lambda name, seed: f"{name} 1",
            draw=self,
            draw_captioned=self.captioned if told else None,
        )


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Six pictures of either class, number i of a class with the caption "CLASS i"."""
    random = np.random.default_rng(0)
    for name in CLASSES:
        folder = tmp_path / "pets" / name
        folder.mkdir(parents=True)
        for number in range(6):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            (folder / f"{number}.txt").write_text(f"{name} {number}")
    return tmp_path / "pets"


def judged(
    painter: Painter, pets: Path, out: Path, *, told: bool = True, **settings: object
) -> GenerationReport:
    data = DataConfig(path=str(pets), workers=0)
    given = {"num_images": 12, "batch_size": 5, "sheet_rows": 2, **settings}
    return generate(painter.generator(told=told), data, out, **given)


def test_an_evaluation_tells_the_decoder_and_the_reader(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "load_feature_network", few_features)
    painter = Painter()
    report = judged(painter, pets, tmp_path / "a", decoder_captions="other_image")

    assert [(name, seed) for name, seed, _ in painter.told] == [
        (CLASSES[seed % 2], seed) for seed in range(12)
    ]
    for name, seed, text in painter.told:
        assert text.startswith(name) and text != f"{name} {seed // 2}"  # its twin's
    said = "something of the class; all are captions of the reference images"
    assert report.protocol["decoder captions"] == said
    assert f"\nThe decoder reads {said}.\n" in (tmp_path / "a" / "report.md").read_text()

    # With 8 of 12 measured there are images of each class that are not.
    part = judged(painter, pets, tmp_path / "b", decoder_captions="other_image", limit=8)
    said = "something of the class; none are captions of the reference images"
    assert part.protocol["decoder captions"] == said

    told = len(painter.told)
    own = judged(painter, pets, tmp_path / "c", told=False)
    assert len(painter.told) == told
    said = "something of the class; all are captions of the reference images"
    assert own.protocol["decoder captions"] == said
    with pytest.raises(ValueError, match="other_image, but this decoder reads no captions"):
        judged(painter, pets, tmp_path / "d", told=False, decoder_captions="other_image")
