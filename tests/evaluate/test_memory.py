"""Batches that main memory cannot hold are refused before anything long is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.evaluate.conftest import SIZE, reconstruct
from tests.extract.make import make_latents
from textok.config import DataConfig, TokenizerConfig, ViTConfig
from textok.pipeline.memory import check_batch
from textok.runtime import memory

SHAPE = TokenizerConfig(
    image_size=16,
    patch_size=8,
    num_tokens=6,
    encoder=ViTConfig(width=8, depth=1, heads=1),
    decoder=ViTConfig(width=10, depth=1, heads=1),
)
EACH = 2 * 4 * 3 * 16 * 16 + 2 * 5 * 10 * (4 + 6)
"""Pixels before and after in float32; five times the wider width for 4 patches and 6 tokens."""


def test_pixels_and_a_block_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 7 * EACH)
    cpu = torch.device("cpu")
    check_batch(7, SHAPE, cpu, setting="batch_size is 9")
    with pytest.raises(ValueError, match=r"^batch_size is 9: 8 images at once need 0.0 GB of main"):
        check_batch(8, SHAPE, cpu, setting="batch_size is 9")
    check_batch(8, SHAPE, torch.device("cuda"), setting="the GPU tells itself")
    monkeypatch.setattr(memory, "free_bytes", lambda _: None)
    check_batch(8, SHAPE, cpu, setting="the system does not say")


def test_commands_count_no_more_images_than_there_are(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    pictures: Path,
    model: Callable[[str], Path],
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 4 * 4 * 3 * SIZE**2)
    data = DataConfig(path=str(pictures), split="test", workers=0)
    wrong = "^batch_size is 1000000: {} images at"
    with pytest.raises(ValueError, match=wrong.format(9)):
        reconstruct(model("none"), data, tmp_path / "report", batch_size=10**6)
    with pytest.raises(ValueError, match=wrong.format(60)):  # of 40 images, every other has two
        make_latents(
            model("none"), data=data, out=tmp_path / "l", splits=("train",), batch_size=10**6
        )
    assert not list(tmp_path.iterdir())
