from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from textok.config import CodebookConfig, MaskGITConfig, TokenizerConfig, ViTConfig
from textok.config.evaluation import DecoderCaptions
from textok.config.generator import (
    DiTShape,
    GeneratorConfig,
    GuidanceConfig,
    SamplingConfig,
    SamplingOptions,
)
from textok.config.networks import CompileSetting
from textok.data.class_captions import ClassCaptions
from textok.evaluate.image_generator import load_image_generator
from textok.generator import DiT, MaskGIT
from textok.latents import LatentScale
from textok.pipeline import ImageRequest, PipelineParts, TextToImage, save_pipeline
from textok.runtime.device import autocast
from textok.tokenizer import Tokenizer

CLASSES = ("cat", "dog")
VIT = ViTConfig(width=32, depth=1, heads=2)


def save(folder: Path) -> Path:
    """A pipeline of random weights that draws two classes at 16 px, by 3 steps of flow."""
    torch.manual_seed(0)
    tokenizer = TokenizerConfig(
        image_size=16, patch_size=8, num_tokens=4, channels=2, text="none", encoder=VIT, decoder=VIT
    )
    shape = DiTShape(width=32, depth=2, heads=2)
    config = GeneratorConfig(
        num_tokens=4, channels=2, network=shape, condition="class", classes=len(CLASSES)
    )
    generator = DiT(config)
    for parameter in generator.parameters():  # a new DiT ignores its condition
        nn.init.normal_(parameter, std=0.2)
    parts = PipelineParts(
        tokenizer=Tokenizer(tokenizer),
        generator=generator,
        scale=LatentScale(torch.zeros(2), torch.ones(2)),
        sampling=SamplingConfig(steps=3, guidance=GuidanceConfig(scale=2.0)),
        classes=CLASSES,
    )
    return save_pipeline(folder, parts)


def save_codes(folder: Path) -> Path:
    """The same of 9 codes, drawn in 3 steps by a masked generator."""
    torch.manual_seed(0)
    tokenizer = TokenizerConfig(
        image_size=16,
        patch_size=8,
        num_tokens=4,
        channels=2,
        text="none",
        encoder=VIT,
        decoder=VIT,
        bottleneck="vq",
        codebook=CodebookConfig(size=9),
    )
    config = MaskGITConfig(
        num_tokens=4, codebook_size=9, network=VIT, condition="class", classes=len(CLASSES)
    )
    parts = PipelineParts(
        tokenizer=Tokenizer(tokenizer),
        generator=MaskGIT(config),
        sampling=SamplingConfig(sampler="maskgit", steps=3),
        classes=CLASSES,
    )
    return save_pipeline(folder, parts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("painter") / "model")


def test_it_draws_what_the_pipeline_draws(folder: Path) -> None:
    painter = load_image_generator(folder)
    drawn = painter.draw(["dog", "cat", "dog"], [5, 5, 6])
    pipeline = TextToImage.from_pretrained(folder)
    expected = pipeline.draw_tensor([ImageRequest(condition="dog", seed=5)])

    assert (painter.name, painter.image_size, painter.classes) == (str(folder), 16, ["cat", "dog"])
    torch.testing.assert_close(drawn[:1], expected, rtol=0, atol=1e-5)
    assert not torch.allclose(drawn[0], drawn[1])  # another class
    assert not torch.allclose(drawn[0], drawn[2])  # another seed


def test_bf16_is_for_generator_and_decoder(folder: Path) -> None:
    exact, rounded = load_image_generator(folder), load_image_generator(folder, precision="bf16")
    drawn = rounded.draw(["dog"], [5])
    pipeline = TextToImage.from_pretrained(folder)
    with autocast("cpu", "bf16"):
        expected = pipeline.draw_tensor([ImageRequest(condition="dog", seed=5)])

    assert (exact.precision, rounded.precision) == ("fp32", "bf16")
    assert drawn.dtype == torch.float32 and torch.equal(drawn, expected.float())
    assert 0 < (drawn - exact.draw(["dog"], [5])).abs().max() < 0.2
    with pytest.raises(ValueError, match="precision is tf32, which is for CUDA devices, not cpu"):
        load_image_generator(folder, precision="tf32")


def test_sampling_is_the_models_own_or_what_is_given(folder: Path) -> None:
    own, other = (
        load_image_generator(folder),
        load_image_generator(
            folder, sampling=SamplingOptions(steps=5, guidance=1.5, sampler="heun")
        ),
    )

    assert own.settings["sampling"]["steps"] == 3
    assert own.settings["sampling"]["guidance"]["scale"] == 2.0
    assert other.settings["sampling"]["steps"] == 5
    assert other.settings["sampling"]["guidance"]["scale"] == 1.5
    assert other.settings["sampling"]["sampler"] == "heun"
    assert not torch.allclose(own.draw(["cat"], [0]), other.draw(["cat"], [0]))


def test_a_pipeline_of_codes(tmp_path: Path, folder: Path) -> None:
    codes = save_codes(tmp_path / "codes")
    own, other = (
        load_image_generator(codes),
        load_image_generator(codes, sampling=SamplingOptions(steps=2, temperature=9.0)),
    )
    expected = TextToImage.from_pretrained(codes).draw_tensor(
        [ImageRequest(condition="dog", seed=5)]
    )

    torch.testing.assert_close(own.draw(["dog", "cat"], [5, 5])[:1], expected, rtol=0, atol=1e-5)
    assert own.settings["generator"]["codebook_size"] == 9
    assert own.settings["sampling"]["temperature"] == 4.5
    assert other.settings["sampling"]["temperature"] == 9.0
    assert other.settings["sampling"]["steps"] == 2
    assert own.identity == other.identity != ""
    with pytest.raises(ValueError, match=r"temperature is for the sampler maskgit, not 'euler'"):
        load_image_generator(folder, sampling=SamplingOptions(temperature=9.0))
    with pytest.raises(ValueError, match=r"time_shift is .*, not for the sampler maskgit"):
        load_image_generator(codes, sampling=SamplingOptions(time_shift=2.0))


@pytest.mark.parametrize(
    ("choice", "captions"),
    [
        ("held_out", [None, None]),  # the pipeline draws one of those that it knows
        ("class_name", ["a photo of a cat", "a photo of a dog"]),
        ("none", ["", ""]),
    ],
)
def test_what_the_decoder_reads_of_a_class(
    choice: DecoderCaptions,
    captions: list[str | None],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[ImageRequest] = []
    monkeypatch.setattr(TextToImage, "draw_tensor", lambda self, wanted, **_: asked.extend(wanted))
    painter = load_image_generator(folder, decoder_captions=choice)
    painter.draw(["cat", "dog"], [7, 8])

    assert asked == [
        ImageRequest(condition=name, seed=seed, caption=caption)
        for name, seed, caption in zip(("cat", "dog"), (7, 8), captions, strict=True)
    ]
    assert painter.settings["decoder captions"] == choice


def test_the_decoder_can_be_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = load_image_generator(folder)  # its decoder reads no text
    assert (plain.caption_source, plain.decoder_caption, plain.draw_captioned) == (
        "no text",
        None,
        None,
    )
    pipeline = TextToImage.from_pretrained(folder)
    told = replace(pipeline.tokenizer.config, text="decoder", text_width=384, text_tokens=8)
    pipeline.tokenizer.config = told
    captions = {"cat": ClassCaptions(held_out=("a cat",)), "dog": ClassCaptions(train=("a dog",))}
    pipeline.parts = replace(pipeline.parts, class_captions=captions)
    monkeypatch.setattr(TextToImage, "from_pretrained", lambda name, device, precision: pipeline)
    asked: list[ImageRequest] = []
    monkeypatch.setattr(TextToImage, "draw_tensor", lambda self, wanted, **_: asked.extend(wanted))

    painter = load_image_generator(folder)
    assert "for 1 of 2 classes" in painter.caption_source
    assert painter.decoder_caption is not None
    assert [painter.decoder_caption(name, 3) for name in CLASSES] == ["a cat", "a dog"]
    other = load_image_generator(folder, decoder_captions="other_image")
    assert other.draw_captioned is not None
    other.draw_captioned(["cat"], [7], ["three cats"])
    assert asked == [ImageRequest(condition="cat", seed=7, caption="three cats")]
    with pytest.raises(ValueError, match="other_image: give the captions to draw_captioned"):
        other.draw(["cat"], [7])


def test_a_generator_of_prompts_has_no_choice_of_decoder_captions(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = TextToImage.from_pretrained(folder)
    pipeline.classes = []
    monkeypatch.setattr(TextToImage, "from_pretrained", lambda name, device, precision: pipeline)

    assert "decoder captions" not in load_image_generator(folder).settings
    with pytest.raises(ValueError, match=r"decoder_captions is none, but .* takes captions"):
        load_image_generator(folder, decoder_captions="none")


def test_it_is_compiled_as_asked_and_says_nothing_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(TextToImage, "compile", lambda self, mode: asked.append(mode))
    plain = load_image_generator(folder)
    for mode in get_args(CompileSetting):
        painter = load_image_generator(folder, compile_mode=mode)
        assert (painter.settings, painter.identity) == (plain.settings, plain.identity)
    assert asked == ["graph", "blocks", "autotune", "fused"]


def test_a_sampler_that_does_not_fit_is_refused_at_once(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"sampling\.sampler 'ddpm' does not fit"):
        load_image_generator(folder, sampling=SamplingOptions(sampler="ddpm"))


def test_other_weights_are_another_painter(folder: Path, tmp_path: Path) -> None:
    assert load_image_generator(folder).identity == load_image_generator(folder).identity
    assert (
        load_image_generator(save(tmp_path / "model")).identity
        != load_image_generator(folder).identity
    )
