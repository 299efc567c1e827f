"""Costs on paper: FLOPs and bytes against what can be worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.costs import PEAK, SHARE, Cost, Recipe, _passes, count, recipes, table
from textok.config import RunConfig
from textok.nn.block import SelfAttention


def test_two_linear_layers_by_hand() -> None:
    with torch.device("meta"):
        first, last = nn.Linear(6, 10, bias=False), nn.Linear(10, 4, bias=False)
        images = torch.empty(3, 6)
        flops, kept = _passes(lambda: last(torch.relu(first(images))))
    # Forward: 2 x rows x in x out a layer; backward: that for the weights of both, and for the
    # inputs of the second, whose inputs have gradients.
    assert flops == 2 * 3 * (6 * 10 * 2 + 10 * 4 * 3)
    assert kept == 2 * (3 * 6 + 3 * 10)  # the inputs of both; relu keeps its output, the same


def test_attention_keeps_no_scores() -> None:
    with torch.device("meta"):
        attention = SelfAttention(8, 2)
        _, few = _passes(lambda: attention(torch.empty(1, 10, 8)))
        _, many = _passes(lambda: attention(torch.empty(1, 100, 8)))
    assert many == 10 * few


def test_hours_and_memory() -> None:
    run = RunConfig(steps=1000, batch_size=64)
    cost = Cost(parameters=10**9, flops=10**12, kept=10**8, run=run)
    assert cost.total == 6.4e16
    assert cost.hours == pytest.approx(6.4e16 / (PEAK * SHARE) / 3600)
    assert cost.memory(8) == pytest.approx(20 + 0.1 * 8)


def test_every_recipe_is_one_of_the_presets_and_a_dit_costs_six_flops_a_weight_and_token() -> None:
    every = list(recipes())
    assert len({recipe.command for recipe in every}) == len(every) - 12  # DiTs at four K each
    cost = count(Recipe(presets=("dit-class",), kind="generator", tokens=32))
    assert cost.parameters == pytest.approx(458e6, rel=0.001)
    # adaLN's 6 D^2 a block are used once a picture, the rest of a block once a token.
    blocks = 24 * (12 * 32 + 6) * 1024**2
    assert cost.flops == pytest.approx(6 * blocks, rel=0.05)
    assert "| 32 | 458 |" in "\n".join(table([(every[0], cost)]))
