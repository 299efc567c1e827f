"""Costs of fine-tuning against what can be worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.costs import Recipe
from benchmarks.fine_tuning_costs import RANK, FineTuning, FineTuningCost, count, fine_tunings

RECIPE = Recipe(presets=("products-64",), kind="tokenizer", tokens=8)


def test_adapters_have_sixteen_rank_times_width_weights_a_block() -> None:
    pytest.importorskip("peft")
    every, decoder, adapters = (
        count(FineTuning(recipe=RECIPE, trains=kind))
        for kind in ("everything", "decoder", "adapters")
    )
    # Inputs and outputs, in widths: qkv 1 + 3, out 1 + 1, both of the MLP 1 + 4.
    assert adapters.trained == 4 * RANK * 192 * 16
    assert adapters.frozen == every.trained == decoder.trained + decoder.frozen
    assert adapters.trained < decoder.trained < every.trained
    assert adapters.flops < decoder.flops < every.flops
    assert decoder.kept < every.kept


def test_memory_and_hours() -> None:
    cost = FineTuningCost(trained=10**8, frozen=10**9, flops=10**12, kept=10**8)
    assert cost.memory == pytest.approx(2 + 8 + 3.2)
    assert cost.hours == pytest.approx(1e17 / (989e12 * 0.4) / 3600)
    assert len({(one.recipe.command, one.trains) for one in fine_tunings()}) == 10
