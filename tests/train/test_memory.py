"""Trainings that no machine has the memory for end in one line, before anything is built."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree

import pytest
from torch import nn

from textok.config import (
    DataConfig,
    RunConfig,
    TrainGeneratorConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
    ViTConfig,
)
from textok.config.read import build
from textok.train import memory
from textok.train.distributed import join_distributed
from textok.train.generator import train_generator
from textok.train.memory import check_memory
from textok.train.tokenizer import train_tokenizer
from textok.train.vqgan import train_vqgan


@pytest.mark.parametrize(
    ("free", "wrong"),
    [
        (4 * 4 * 10_100, None),
        (4 * 4 * 10_100 - 1, "the network has 0.0 billion weights"),
    ],
)
def test_weights(free: int, wrong: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer from 100 to 100 numbers, with AdamW's two moments and a gradient."""
    check(monkeypatch, free, RunConfig(batch_size=1), wrong)


@pytest.mark.parametrize(
    ("batch", "accumulate", "wrong"),
    [
        (20, 1, None),
        (40, 2, None),
        (22, 1, "run.batch_size is 22: 22 images at once need 0.0 GB"),
    ],
)
def test_a_batch(
    batch: int, accumulate: int, wrong: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of 1,000 numbers in 4 bytes, and 2,000 between blocks in 2 at the least."""
    run = RunConfig(batch_size=batch, accumulate=accumulate)
    check(monkeypatch, 20 * 8_000 + 1_600, run, wrong)


def check(monkeypatch: pytest.MonkeyPatch, free: int, run: RunConfig, wrong: str | None) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: free)
    distributed = join_distributed(batch_size=run.batch_size, accumulate=run.accumulate)
    numbers = {"row": 1_000, "depth": 2_000}
    with nullcontext() if wrong is None else pytest.raises(ValueError, match=wrong):
        check_memory(lambda: nn.Linear(100, 100), **numbers, run=run, distributed=distributed)


@pytest.mark.parametrize(
    ("shape", "wrong"),
    [
        ({"width": 1_200_000}, "width is 1200000: it must be >= 1 and <= 100000"),
        ({"depth": 1_000_000}, "depth is 1000000: it must be >= 1 and <= 1000"),
    ],
)
def test_sizes_that_no_network_has(shape: Mapping[str, int], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        build(ViTConfig, shape)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 4_000_000_000)


@pytest.mark.usefixtures("free")
def test_tokenizers(config: TrainTokenizerConfig, tmp_path: Path) -> None:
    wide = replace(config.tokenizer, encoder=ViTConfig(width=96_000, depth=100, heads=12))
    run = replace(config.run, out=str(tmp_path / "run"))
    start = time.process_time()
    with pytest.raises(ValueError, match=r"the network has 11,\d\d\d\.\d billion weights"):
        train_tokenizer(replace(config, tokenizer=wide, run=run))
    assert time.process_time() - start < 10
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("free")
def test_a_batch_is_refused_before_the_images_are_looked_for(
    config: TrainTokenizerConfig, tmp_path: Path
) -> None:
    many = replace(config.run, out=str(tmp_path / "run"), batch_size=2**20, accumulate=1)
    data = DataConfig(path=str(tmp_path / "images"))
    vqgan = TrainVQGANConfig(data=data, run=many)
    refused = r"run\.batch_size is 1048576: 1048576 images at once"
    with pytest.raises(ValueError, match=refused):
        train_tokenizer(replace(config, data=data, run=many))
    with pytest.raises(ValueError, match=refused):
        train_vqgan(vqgan)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("free")
def test_generators(generator_config: TrainGeneratorConfig, tmp_path: Path) -> None:
    run = replace(generator_config.run, out=str(tmp_path / "run"), batch_size=2**20, accumulate=1)
    shape = replace(generator_config.generator.network, width=96_000, heads=12)
    generator = replace(generator_config.generator, network=shape)
    latents = copytree(generator_config.latents.path, tmp_path / "latents")
    for shard in (latents / "train").glob("*.safetensors"):
        shard.write_bytes(b"damaged, which is not looked for yet")
    latents_config = replace(generator_config.latents, path=str(latents))
    config = replace(generator_config, latents=latents_config)
    with pytest.raises(ValueError, match="billion weights"):
        train_generator(replace(config, generator=generator, run=run))
    with pytest.raises(ValueError, match="delete that shard"):
        train_generator(replace(config, run=replace(run, batch_size=2)))
    rmtree(latents)
    assert not list(tmp_path.iterdir())
