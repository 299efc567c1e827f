"""Generators of the study differ in their tokenizer alone, and the table has the right gains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studies import text_gain
from studies.generation_gain import BUDGETS, gain_table, members, steps_of, write_tables
from studies.text_gain import Member

DATA, RUNS = Path("data"), Path("runs")


def test_pairs_are_compared_at_two_token_counts_and_one_seed_on_a_cpu() -> None:
    names = [member.name for member in members(BUDGETS["cpu"])]
    assert names == ["k2-none-s0", "k2-both-s0", "k4-none-s0", "k4-both-s0"]


def test_the_steps_of_a_member(read) -> None:
    member = Member(tokens=2, text="both", seed=0)
    steps = list(steps_of(member, "cpu", DATA, RUNS))
    place = Path("runs/generation/k2-both-s0")

    assert steps[0] == next(text_gain.steps_of(member, text_gain.BUDGETS["cpu"], DATA, RUNS))
    names, asked = zip(*map(read, steps[1:]), strict=True)
    assert names == ("extract", "train generator", "evaluate generation")
    extract, train, judge = asked
    assert extract.tokenizer == "runs/k2-both-s0/model"
    assert (extract.data.path, extract.out) == (str(DATA), place / "latents")
    assert extract.splits == ("train", "val")
    assert not extract.data.where
    assert train.latents.path == str(place / "latents")
    assert train.run.out == str(place / "generator")
    assert (judge.model, judge.data.split) == (str(place / "generator" / "model"), "test")
    assert judge.out == place / "test"
    done = ["latents/val/index.json", "generator/report.md", "test/report.json"]
    assert [step.done for step in steps[1:]] == [place / name for name in done]


@pytest.mark.parametrize("name", BUDGETS)
def test_generators_are_trained_alike(name: str, read) -> None:
    found = {}
    for member in members(BUDGETS[name]):
        _, train, *_ = (read(step) for step in list(steps_of(member, name, DATA, RUNS))[1:])
        config = train[1]
        assert config.run.seed == member.seed
        found[member] = replace(config, latents=None, run=replace(config.run, out="", seed=0))
    first, *rest = found.values()
    assert first.generator.condition == "text"
    assert all(config == first for config in rest)


def test_the_tokenizers_are_those_of_the_other_study() -> None:
    for name, budget in BUDGETS.items():
        assert set(members(budget)) <= set(text_gain.members(text_gain.BUDGETS[name]))


def test_gains_are_taken_seed_by_seed_and_averaged_over_token_counts(report) -> None:
    numbers = {(2, 0): (200, 150), (2, 1): (100, 85), (4, 0): (100, 90)}
    found = {
        Member(tokens=tokens, text=text, seed=seed): report(value)
        for (tokens, seed), pair in numbers.items()
        for text, value in zip(("none", "both"), pair, strict=True)
    }
    found[Member(tokens=4, text="none", seed=1)] = report(1)  # its pair is not there yet
    assert gain_table(found) == [
        "| tokens | FD-EffLite0 gain %, none to both |",
        "| --- | --- |",
        "| 2 | 20.0 (15.0 to 25.0) |",
        "| 4 | 10.0 |",
        "| mean | 15.0 |",
    ]


def test_the_baseline_alone_has_no_gain(report) -> None:
    assert gain_table({Member(tokens=2, text="none", seed=0): report(3)}) == []


def test_tables_and_plot_are_written(report, tmp_path: Path) -> None:
    found = {
        Member(tokens=4, text="both", seed=0): report(90, retrieval=0.5),
        Member(tokens=4, text="none", seed=0): report(100),
    }
    write_tables(found, "python -m studies.generation_gain", tmp_path)
    lines = (tmp_path / "comparison.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| 4 ")]
    assert rows == [
        "| 4 | none | 1 | 100.00 | 0.500 | 0.125 | 0.250 | 0.750 |",
        "| 4 | both | 1 | 90.00 | 0.500 | 0.125 | 0.500 | 0.750 |",
        "| 4 | 10.0 |",
    ]
    assert (tmp_path / "comparison.png").is_file()
