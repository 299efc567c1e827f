"""Variants of a step start alike, take turns, and before is what it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import cpu_training
from benchmarks.cpu_training import Settings, as_before, in_turns
from textok.nn import gelu
from textok.nn.block import Block
from textok.nn.lpips import LPIPS

VIT = "{width: 16, depth: 1, heads: 2}"


@pytest.fixture
def presets(tmp_path: Path) -> list[str]:
    """Options that name a tokenizer and a generator of milliseconds."""
    tokenizer, generator = tmp_path / "tokenizer.yaml", tmp_path / "generator.yaml"
    tokenizer.write_text(
        "tokenizer: {image_size: 16, patch_size: 8, num_tokens: 4, channels: 3, text_width: 8, "
        f"text_tokens: 5, encoder: {VIT}, decoder: {VIT}}}\ntext: {{max_tokens: 5}}\n"
        "loss: {perceptual: 0, gan: {weight: 0}}\n"
    )
    generator.write_text(
        f"generator: {{network: {VIT}, condition: text, objective: {{name: flow}}}}\n"
    )
    return ["--tokenizer", str(tokenizer), "--generator", str(generator), "--batch", "2", "3"]


def test_the_report_compares_variants_from_the_same_start(
    presets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_training, "PEAK_SIZE", 64)
    asked = [*presets, "--variants", "before", "now", "--turns", "2", "--out", str(tmp_path)]
    cpu_training.main(asked)
    rows = json.loads((tmp_path / "training.json").read_text())["rows"]
    assert [(row["task"], row["batch"], row["variant"]) for row in rows] == [
        *(("tokenizer", 2, "before"), ("tokenizer", 2, "now")),
        *(("generator", 3, "before"), ("generator", 3, "now")),
    ]
    for row in rows:
        assert len(row["seconds"]) == 2 and len(row["losses"]) == 4 and row["gflop"] > 0
    for before, now in (rows[:2], rows[2:]):
        assert now["losses"][0] == pytest.approx(before["losses"][0], rel=1e-2)
        assert before["gflop"] == now["gflop"]
    assert "| 1.00 (1.00 to 1.00) |" in (tmp_path / "training.md").read_text()


def test_before_is_the_way_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    block, network = Block(32, 2, qk_norm=True), LPIPS("alex")
    x, images = torch.randn(2, 5, 32), torch.rand(1, 3, 64, 64)
    monkeypatch.setattr(gelu, "ENOUGH", 0)
    queries: list[int] = []
    attend, found = F.scaled_dot_product_attention, []

    def spy(q: Tensor, *given: Any, **options: Any) -> Tensor:
        queries.append(q.shape[2])
        return attend(q, *given, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    for on in (False, True):
        with as_before(on), torch.autocast("cpu", torch.bfloat16):
            out = block(x, None, slice(1, 3))
            assert gelu.usable(out.bfloat16()) is not on
            found.append((out, network.maps(images)))
    (now, last), (before, first) = found
    assert queries == [5]  # a whole block by torch's kernel
    assert not torch.equal(now, before) and torch.allclose(now, before, atol=0.02)
    assert last[1].is_contiguous(memory_format=torch.channels_last) and first[1].is_contiguous()


def test_turns_are_in_the_order_asked_for(presets: list[str], tmp_path: Path) -> None:
    settings = Settings(
        tokenizer=(presets[1],), generator=(presets[3],), batch=(2, 2), variants=("now",), turns=1
    )
    (only,) = in_turns(settings, "tokenizer", lambda config: 0.5)
    assert (only.variant, only.gflop, len(only.losses)) == ("now", 1.0, 3)


def test_no_turns_are_refused() -> None:
    with pytest.raises(ValueError, match="turns"):
        Settings(turns=0)
