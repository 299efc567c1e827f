"""Pipelines guided by a weaker version of their generator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from tests.pipeline.conftest import shake, tiny, tiny_codes
from textok.cli.main import main
from textok.config import DiTShape, TrainGeneratorConfig
from textok.config.generator import (
    GuidanceConfig,
    ObjectiveConfig,
    SamplingConfig,
    SamplingOptions,
)
from textok.evaluate.image_generator import load_image_generator
from textok.generator import DiT
from textok.latents import LatentScale
from textok.pipeline import PipelineParts, TextToImage, save_pipeline
from textok.pipeline.guide import load_guide
from textok.pipeline.image_request import image_requests


def weaker(parts: PipelineParts, **changes: object) -> PipelineParts:
    """The same pipeline with a smaller DiT, other weights and these settings."""
    assert isinstance(parts.generator, DiT)
    shape = replace(parts.generator.config, network=DiTShape(width=16, depth=1, heads=1), **changes)
    generator = DiT(shape).eval()
    shake(generator, 0.1)
    return replace(parts, generator=generator)


def led_by(guide: Path, scale: float = 2.0) -> SamplingConfig:
    return SamplingConfig(steps=3, guidance=GuidanceConfig(scale=scale, guide=str(guide)))


def test_a_picture_is_led_away_from_the_guides(tmp_path: Path) -> None:
    parts = tiny("class", text="none")
    save_pipeline(tmp_path / "weak", weaker(parts))
    pipeline = TextToImage(parts)
    asked = image_requests(["sky"], num_images=2, seed=0)

    def draw(sampling: SamplingConfig) -> torch.Tensor:
        return pipeline.draw_tensor(asked, sampling=sampling)

    alone = draw(SamplingConfig(steps=3, guidance=GuidanceConfig(scale=1)))
    torch.testing.assert_close(draw(led_by(tmp_path / "weak", 1)), alone)
    guided = draw(led_by(tmp_path / "weak"))
    assert (guided - alone).abs().max() > 1e-3
    unconditional = draw(SamplingConfig(steps=3, guidance=GuidanceConfig(scale=2)))
    assert (guided - unconditional).abs().max() > 1e-3
    # At scale 0 the guide draws alone.
    theirs = TextToImage(weaker(parts)).draw_tensor(
        asked, sampling=SamplingConfig(steps=3, guidance=GuidanceConfig(scale=1))
    )
    torch.testing.assert_close(draw(led_by(tmp_path / "weak", 0)), theirs)
    with pytest.raises(ValueError, match=r"guide .*: takes the place of the negative"):
        pipeline.draw_tensor(asked, sampling=led_by(tmp_path / "weak"), negative="sky")


def doubled(scale: LatentScale | None) -> LatentScale:
    assert scale is not None
    return LatentScale(scale.mean, 2 * scale.std)


def test_a_guide_of_other_latents_or_conditions_is_refused_in_one_line(tmp_path: Path) -> None:
    parts = tiny("class", text="none")
    other_tokenizer = tiny("class", text="none")
    with torch.no_grad():
        nn.init.normal_(other_tokenizer.tokenizer.encoder.embed.weight)
    names = tuple(reversed(parts.classes))
    cases = {
        "tokens": (tiny_codes("class"), "autoguidance is for DiTs, one of the two"),
        "text": (tiny("text"), r"its condition is 'text', the generator's is 'class'"),
        "noise": (
            weaker(parts, objective=ObjectiveConfig(name="ddpm")),
            "trained by 'ddpm', the generator by 'flow'",
        ),
        "order": (replace(weaker(parts), classes=names), "other classes, or in another order"),
        "scale": (
            replace(weaker(parts), scale=doubled(parts.scale)),
            "made for the latents of another tokenizer or data set",
        ),
        "tokenizer": (
            replace(weaker(other_tokenizer), scale=parts.scale),
            "made for the latents of another tokenizer or data set",
        ),
    }
    for name, (guide, message) in cases.items():
        sampling = SamplingConfig(sampler="ddim") if name == "noise" else guide.sampling
        save_pipeline(tmp_path / name, replace(guide, sampling=sampling))
        with pytest.raises(ValueError, match=message) as error:
            load_guide(tmp_path / name, parts)
        assert "\n" not in str(error.value) and str(tmp_path / name) in str(error.value)
    assert isinstance(load_guide(save_pipeline(tmp_path / "weak", weaker(parts)), parts), DiT)


def test_weights_in_16_bits_are_those_of_the_same_tokenizer(tmp_path: Path) -> None:
    parts = tiny("class", text="none")
    save_pipeline(tmp_path / "weak", weaker(parts), precision=torch.bfloat16)
    assert isinstance(load_guide(tmp_path / "weak", parts), DiT)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = tiny("class", text="none")
    save_pipeline(tmp_path / "model", parts)
    save_pipeline(tmp_path / "weak", weaker(parts))
    command = [
        "generate",
        "--class",
        "sky",
        "--model",
        str(tmp_path / "model"),
        "--num-images",
        "1",
    ]

    def sheet(*flags: str) -> bytes:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        assert main([*command, "--out", str(out), "--device", "cpu", *flags]) == 0
        return Image.open(out / "sheet.png").tobytes()

    assert sheet("--guide", str(tmp_path / "weak")) != sheet()
    for wrong in (
        ("--guide", str(tmp_path / "none")),
        ("--guide", str(tmp_path / "weak"), "--negative", "sky"),
    ):
        capsys.readouterr()
        assert main([*command, "--out", str(tmp_path / "x"), *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert not (tmp_path / "x").exists()


def test_evaluation_opens_the_guide_first(tmp_path: Path) -> None:
    parts = tiny("class", text="none")
    save_pipeline(tmp_path / "model", parts)
    save_pipeline(tmp_path / "weak", weaker(parts))
    options = SamplingOptions(guide=str(tmp_path / "weak"), steps=2)
    found = load_image_generator(tmp_path / "model", sampling=options)
    assert found.settings["sampling"]["guidance"]["guide"] == str(tmp_path / "weak")
    assert found.draw(["sky"], [0]).shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match="nowhere"):
        load_image_generator(tmp_path / "model", sampling=SamplingOptions(guide="./nowhere"))


def test_a_training_takes_no_guide() -> None:
    with pytest.raises(ValueError, match="sheets of a training are sampled without a guide"):
        TrainGeneratorConfig(sampling=led_by(Path("weak")))
