"""Costs of text features on paper, against what can be worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.costs import PEAK, SHARE, Cost, Recipe
from benchmarks.text_costs import (
    CAPTIONS,
    T5,
    TOKENS,
    XL,
    TextCost,
    step_table,
    stored_table,
)
from textok.config import RunConfig

COST = TextCost(model=XL, parameters=10**9, flops=2 * 10**11)


def test_t5_by_hand() -> None:
    cost = T5(name="small", width=64, hidden=128, heads=2).counted()
    inner = 2 * 64  # heads of 64 numbers
    layer = 4 * 64 * inner + 3 * 64 * 128  # q, k, v, o; a gated feed-forward has three matrices
    scores = 2 * 2 * TOKENS * inner  # a token's with all keys, and the values they weigh
    assert cost.flops == 24 * TOKENS * (2 * layer + scores)
    norms, positions = 2 * 24 * 64 + 64, 32 * 2
    assert cost.parameters == 24 * layer + norms + positions + 32128 * 64


def test_the_largest_encoders_have_the_published_sizes() -> None:
    assert XL.counted().parameters == pytest.approx(1.22e9, rel=0.01)


def test_bytes_and_hours() -> None:
    assert COST.stored(75, float8=False) == 75 * 4096
    assert COST.stored(75, float8=True) == 75 * 2052
    assert COST.hours(3600 * PEAK * SHARE / COST.flops) == pytest.approx(1)


def test_the_tables() -> None:
    step = Cost(parameters=1, flops=2 * 10**12, kept=0, run=RunConfig(steps=10**6, batch_size=256))
    recipe = Recipe(presets=("textok-256",), kind="tokenizer", tokens=32)
    (row,) = step_table([(recipe, step)], [COST])[2:]
    hours = 2e12 * 256e6 / (PEAK * SHARE) / 3600
    assert f"| 10% | {hours:.0f}, {hours / 10:.0f} |" in row
    assert row.endswith(f"| {PEAK * SHARE / 2e12 * 75 * 4096 / 1e6:.0f}, 30 |")
    rows = stored_table([COST])[2:]
    assert rows[0].endswith(f"| 75 | 307, 154 | {307_200 * CAPTIONS / 1e9:.0f}, 197 |")
    assert "| 66, 33 | 84, 42 |" in rows[1]
