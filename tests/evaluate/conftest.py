"""A small captioned set, tokenizers of no skill, and reports with chosen numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from textok.config import CodebookConfig, DataConfig, TextConfig, TokenizerConfig, ViTConfig
from textok.config.evaluation import EvaluateGenerationConfig, EvaluateReconstructionConfig
from textok.evaluate import (
    GenerationReport,
    ImageGenerator,
    Report,
    evaluate_generation,
    evaluate_reconstruction,
)
from textok.tokenizer import Tokenizer

SIZE, TRAIN, TEST = 16, 40, 9


def tiny_tokenizer(text: str) -> Tokenizer:
    """Untrained: 16 px, K = 4, C = 2, text by MiniLM in 8 states; ``vq``: of 11 codes, no text."""
    torch.manual_seed(0)
    vit = ViTConfig(width=32, depth=1, heads=2)
    config = TokenizerConfig(
        image_size=SIZE,
        patch_size=8,
        num_tokens=4,
        channels=2,
        text="none" if text == "vq" else text,
        bottleneck="vq" if text == "vq" else "kl",
        codebook=CodebookConfig(size=11),
        text_width=384,
        text_tokens=8,
        encoder=vit,
        decoder=vit,
        nested=True,
    )
    tokenizer = Tokenizer(config, text=TextConfig(max_tokens=16, pool=8))
    if text == "vq":
        for weights in tokenizer.encoder.parameters():
            if weights.ndim == 2:  # so large that images and their tokens differ
                torch.nn.init.normal_(weights, std=0.3)
    return tokenizer


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train`` and ``test`` folders of soft random pictures with sidecar captions."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("test", TEST)):
        (folder / split).mkdir()
        for index in range(count):
            pixels = generator.integers(0, 256, (3, 3, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).resize((20, SIZE), Image.Resampling.BICUBIC)
            picture.save(folder / split / f"{index:02d}.png")
            captions = [f"picture number {index}", f"plain {index}"][: 1 + index % 2]
            (folder / split / f"{index:02d}.txt").write_text("\n".join(captions))
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the tiny tokenizer for a place of the text, or of the discrete one."""
    folder = tmp_path_factory.mktemp("models")

    def saved(text: str) -> Path:
        path = folder / text
        if not path.is_dir():
            tiny_tokenizer(text).save_pretrained(path)
        return path

    return saved


def reconstruct(
    model: str | Path,
    data: DataConfig,
    out: Path,
    *,
    pca_data: DataConfig | None = None,
    **settings: Any,
) -> Report:
    """An evaluation of reconstructions on the CPU."""
    config = EvaluateReconstructionConfig(
        model=str(model), data=data, out=out, device="cpu", **settings
    )
    return evaluate_reconstruction(config, pca_data=pca_data)


def generate(
    generator: ImageGenerator, data: DataConfig, out: Path, **settings: Any
) -> GenerationReport:
    """An evaluation of what ``generator`` draws, on the CPU."""
    config = EvaluateGenerationConfig(model="none", data=data, out=out, device="cpu", **settings)
    return evaluate_generation(config, generator=generator)
