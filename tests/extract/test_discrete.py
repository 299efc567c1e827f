"""Extraction of a discrete tokenizer: codes beside their vectors, the same whoever made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.extract.make import make_latents
from tests.together import together
from textok.config import DataConfig, TokenizerConfig, ViTConfig
from textok.config.tokenizer import CodebookConfig
from textok.data import open_captioned_images
from textok.data.pixels import to_tensor
from textok.extract import split
from textok.latents import open_latents
from textok.tokenizer import Tokenizer

SIZE, IMAGES, CODES = 16, 7, 12


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for index in range(IMAGES):
        pixels = generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """K = 4 of 12 codes, untrained, without text."""
    torch.manual_seed(0)
    vit = ViTConfig(width=32, depth=1, heads=2)
    config = TokenizerConfig(
        image_size=SIZE,
        patch_size=8,
        num_tokens=4,
        channels=3,
        text="none",
        encoder=vit,
        decoder=vit,
        bottleneck="vq",
        codebook=CodebookConfig(size=CODES),
    )
    tokenizer = Tokenizer(config)
    for weights in tokenizer.encoder.parameters():
        if weights.ndim == 2:  # so large that images and their tokens differ
            torch.nn.init.normal_(weights, std=0.3)
    return tokenizer.save_pretrained(tmp_path_factory.mktemp("model") / "vq")


@pytest.fixture(scope="module")
def options(pictures: Path) -> dict[str, Any]:
    data = DataConfig(path=str(pictures), workers=0)
    return {"data": data, "splits": ["all"], "shard_rows": 3, "batch_size": 2}


@pytest.fixture(scope="module")
def whole(model: Path, options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    make_latents(model, out=out, **options)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "all").iterdir()}


def test_codes_are_those_of_the_tokenizer(whole: Path, pictures: Path, model: Path) -> None:
    latents = open_latents(whole, "all")
    batch = latents.batch([5, 0, 6]).latents
    images = open_captioned_images(DataConfig(path=str(pictures)), image_size=SIZE)
    tokenizer = Tokenizer.from_pretrained(model)
    pixels = torch.stack([to_tensor(images.read(row)) for row in (5, 0, 6)])
    with torch.inference_mode():
        expected = tokenizer.encode(pixels)

    assert (latents.index.codebook_size, latents.index.channels) == (CODES, 3)
    assert batch.codes is not None and batch.codes.dtype == torch.int64
    assert torch.equal(batch.codes, expected.codes)
    assert len(batch.codes.unique(dim=0)) > 1
    vectors = tokenizer.codebook.lookup(batch.codes).half().float()
    torch.testing.assert_close(batch.mean, vectors, rtol=1e-3, atol=1e-4)
    assert batch.logvar is None


def test_a_run_that_is_killed_continues(
    whole: Path,
    model: Path,
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = split.write_shard

    def killed(path: Path, *rest: Any, **named: Any) -> None:
        if path.name == "shard-00001.safetensors":
            raise KeyboardInterrupt
        write(path, *rest, **named)

    monkeypatch.setattr(split, "write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        make_latents(model, out=tmp_path, **options)
    monkeypatch.setattr(split, "write_shard", write)
    make_latents(model, out=tmp_path, **options)

    assert contents(tmp_path) == contents(whole)


def test_two_processes_make_what_one_makes(
    whole: Path,
    model: Path,
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    together(_extract, tmp_path / "store", model, tmp_path / "two", options, processes=2)

    assert contents(tmp_path / "two") == contents(whole)


def _extract(rank: int, store: Path, model: Path, out: Path, options: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    make_latents(model, out=out, **options)
    torch.distributed.barrier()  # gloo may abort where one leaves while the other still reads
    torch.distributed.destroy_process_group()
