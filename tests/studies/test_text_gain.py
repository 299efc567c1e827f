"""The study trains what its table needs, in order, and does nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from studies import steps
from studies.steps import Step, run_steps, words
from studies.text_gain import BUDGETS, members, steps_of
from textok.cli.train import training_config
from textok.config import TrainTokenizerConfig


def test_pairs_come_before_places() -> None:
    names = [member.name for member in members(BUDGETS["cpu"])]

    assert names[:4] == ["k2-none-s0", "k2-both-s0", "k4-none-s0", "k4-both-s0"]
    assert names[8:] == ["k4-encoder-s0", "k4-decoder-s0", "k4-encoder-s1", "k4-decoder-s1"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", BUDGETS)
def test_members_differ_in_what_is_compared_alone(name: str) -> None:
    budget = BUDGETS[name]
    configs = {}
    for member in members(budget):
        train = next(steps_of(member, budget, Path("data"), Path("runs")))
        assert train.command[:3] == ("train", "tokenizer", "study-64")
        configs[member] = training_config(TrainTokenizerConfig, train.command[2:])
    first, *rest = configs.values()
    for member, config in configs.items():
        shape = config.tokenizer
        assert (shape.num_tokens, shape.text) == (member.tokens, member.text)
        assert config.run.seed == member.seed
    for config in rest:
        assert (config.loss, config.optim, config.data) == (first.loss, first.optim, first.data)
        assert (config.run.steps, config.run.batch_size) == (first.run.steps, first.run.batch_size)
        assert config.tokenizer.encoder == first.tokenizer.encoder


def test_a_complete_step_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    class Result:
        returncode = 0

    def run(command: list[str]) -> Result:
        ran.append(command[-1])
        (tmp_path / command[-1]).touch()
        return Result()

    monkeypatch.setattr(steps.subprocess, "run", run)
    listed = [Step(command=words("make", name), done=tmp_path / name) for name in "abc"]
    (tmp_path / "b").touch()

    assert run_steps(listed)
    assert ran == ["a", "c"]
    assert run_steps(listed)
    assert ran == ["a", "c"]


def test_a_failing_step_ends_the_study_with_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Result:
        returncode = 2

    monkeypatch.setattr(steps.subprocess, "run", lambda command: Result())
    with pytest.raises(SystemExit, match="2"):
        run_steps([Step(command=("presets",), done=tmp_path / "never")])
