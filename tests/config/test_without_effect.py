"""Settings that would do nothing, or measure nothing, are told or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from textok.config import (
    DecodingConfig,
    FlowDecoderConfig,
    GanConfig,
    GuidanceConfig,
    LossConfig,
    RunConfig,
    SamplingConfig,
    TextConfig,
    TokenizerConfig,
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
)
from textok.config.evaluation import EvaluateGenerationConfig
from textok.config.frechet import FrechetConfig


@pytest.mark.parametrize(
    ("guidance", "none"),
    [(GuidanceConfig(scale=3), 1), (GuidanceConfig(scale=3, form="added"), 0)],
)
def test_guidance_of_a_generator_away_from_what_is_never_learnt(
    guidance: GuidanceConfig, none: int
) -> None:
    sampling = SamplingConfig(sampler="maskgit", guidance=guidance)
    for given in (
        TrainGeneratorConfig(text=TextConfig(drop=0), sampling=replace(sampling, sampler="euler")),
        TrainMaskGITConfig(text=TextConfig(drop=0), sampling=sampling),
    ):
        (line,) = given.unlearnt(guidance)
        assert line.startswith("text.drop is 0") and line.endswith(f"guidance.scale to {none}")
        assert not given.unlearnt(replace(guidance, scale=none))
        assert not replace(given, init="a-pipeline").unlearnt(guidance)
        assert not replace(given, text=TextConfig(drop=0.1)).unlearnt(guidance)


def test_guidance_of_a_decoder_away_from_what_is_never_learnt() -> None:
    shape = TokenizerConfig(
        decoding="flow",
        flow=FlowDecoderConfig(drop_text=0, drop_tokens=0),
        sampling=DecodingConfig(caption_guidance=2, token_guidance=2),
    )
    loss = LossConfig(gan=GanConfig(weight=0))
    config = TrainTokenizerConfig(tokenizer=shape, text=TextConfig(drop=0), loss=loss)
    captions, tokens = config.unlearnt()
    assert captions.startswith("text.drop and tokenizer.flow.drop_text are 0: what")
    assert tokens.startswith("tokenizer.flow.drop_tokens is 0: what")
    assert replace(config, text=TextConfig(drop=0.1)).unlearnt() == [tokens]
    assert replace(config, tokenizer=replace(shape, nested=True)).unlearnt() == [captions]
    plain = replace(shape, sampling=DecodingConfig())
    assert replace(config, tokenizer=plain).unlearnt() == []
    assert replace(config, init="a-tokenizer").unlearnt() == []


def test_a_population_that_no_step_is_left_to_train_on() -> None:
    frechet = FrechetConfig(weight=0.1, population=64)
    frechet.check_filled(RunConfig(steps=9, batch_size=8))
    with pytest.raises(ValueError, match=r"loss\.frechet\.population is 64, which run\.steps 8"):
        frechet.check_filled(RunConfig(steps=8, batch_size=8))
    replace(frechet, weight=0.0).check_filled(RunConfig(steps=1, batch_size=1))


def test_numbers_of_images_are_judged_where_they_are_given() -> None:
    for given, told in (
        ({"num_images": 0}, "num_images is 0"),
        ({"num_images": 10**12}, "num_images is 1000000000000"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63 - 1}, "seed is 9223372036854775807"),
    ):
        with pytest.raises(ValueError, match=told):
            EvaluateGenerationConfig(model="m", out=Path("o"), **given)
