"""The order of a study of pairs, and that its members differ in what is compared alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studies.pairs.commands import every_step, tokenizer_steps
from studies.pairs.job import Job, run_job
from studies.pairs.study import members
from studies.photographs import budgets as photographs
from studies.products.__main__ import BUDGETS as PRODUCTS
from studies.products.__main__ import study_of as products_of
from studies.steps import Step, budget_name, plan, words

DATA, RUNS = Path("data"), Path("runs")
CPU = photographs.study_of(photographs.CPU, DATA, RUNS)
STUDIES = {
    **{name: photographs.study_of(one, DATA, RUNS) for name, one in photographs.BUDGETS.items()},
    **{f"products-{name}": products_of(one, DATA, RUNS) for name, one in PRODUCTS.items()},
}


def test_an_unfinished_study_already_compares() -> None:
    done = [str(step.done.relative_to(RUNS)) for step in every_step(CPU)]

    assert done[:4] == [
        "k4-none-s0/report.md",
        "k4-none-s0/test/report.json",
        "k4-both-s0/report.md",
        "k4-both-s0/test/report.json",
    ]
    first = [place.split("/")[0] for place in done[:8:2]]
    assert first == [f"k{k}-{text}-s0" for k in (4, 2) for text in ("none", "both")]
    generators = ["class-k4-none-s0", "class-k4-both-s0"]
    assert [place.split("/")[1] for place in done[8:14] if "generators" in place][::2] == generators
    assert done[14] == "k4-none-s1/report.md"
    assert done[-6] == "generators/text-k4-none-s0/report.md"
    assert done[-1] == "generators/text-k4-both-s0/prompts/sheet.png"
    assert len(set(done)) == len(done)


@pytest.mark.parametrize("name", STUDIES)
def test_members_differ_in_tokens_text_and_seed_alone(name: str, read) -> None:
    study = STUDIES[name]
    found = {}
    for member in members(study.budget):
        train, _ = tokenizer_steps(member, study)
        command, config = read(train)
        assert command == "train tokenizer"
        assert (config.tokenizer.num_tokens, config.tokenizer.text) == (member.tokens, member.text)
        assert config.run.seed == member.seed
        assert config.run.out == str(RUNS / member.name)
        shape = replace(config.tokenizer, num_tokens=1, text="none")
        found[member] = replace(config, tokenizer=shape, run=replace(config.run, out="", seed=0))
    first, *rest = found.values()
    assert first.loss.perceptual_net == "lpips_alex"
    assert first.loss.perceptual_start == 0
    assert all(config == first for config in rest)


@pytest.mark.parametrize("name", STUDIES)
def test_every_command_is_one_that_there_is(name: str, read) -> None:
    named = {}
    for step in every_step(STUDIES[name]):
        command, asked = read(step)
        named.setdefault(command, []).append(asked)
    measured = {(asked.limit, asked.feature_network) for asked in named["evaluate reconstruction"]}
    budget = STUDIES[name].budget
    assert measured == {(budget.limit, budget.networks)}
    assert {asked.run.steps for asked in named["train generator"]} == {budget.generator_steps}
    for asked in named["evaluate generation"]:
        assert asked.num_images == asked.limit == budget.limit


def test_generators_of_a_pair_differ_in_their_latents_alone(read) -> None:
    found = [
        read(step)[1]
        for step in every_step(CPU)
        if step.command[:3] == ("train", "generator", "dit-photographs-64-class")
    ]
    latents = [config.latents.path for config in found]
    assert latents == ["runs/latents/k4-none-s0", "runs/latents/k4-both-s0"]
    none, both = (
        replace(config, latents=None, run=replace(config.run, out="")) for config in found
    )
    assert none == both
    assert none.generator.condition == "class"


def test_the_plan_names_what_is_left_and_adds_up(tmp_path: Path) -> None:
    steps = [
        Step(command=words("train", "x", "y"), done=tmp_path / name / "done", seconds=1800)
        for name in "abc"
    ]
    (tmp_path / "a").mkdir()
    steps[0].done.touch()
    lines = plan(steps, "1 image/s").splitlines()
    assert lines[0] == "1 of 3 steps are done"
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["train", "x", str(tmp_path / name)] for name in "bc"
    ]
    assert lines[3] == "to go: about 1.0 hours, at 1 image/s"


def job_of(steps: list[Step], tmp_path: Path) -> Job:
    return Job(
        study=photographs.study_of(photographs.TOY, DATA, tmp_path / "runs"),
        steps=steps,
        commands=("python -m this",),
        out=tmp_path / "out",
        title="A title",
        about="About it.",
        sheet_at=2,
    )


def test_results_are_there_after_the_first_step_and_a_second_call_runs_nothing(
    tmp_path: Path,
) -> None:
    runs = tmp_path / "runs"
    steps = [Step(command=(name,), done=runs / name / "done") for name in ("one", "two")]
    ran = []

    def run(command: tuple[str, ...]) -> int:
        if command == ("two",):
            assert (tmp_path / "out" / "README.md").exists()
        ran.append(command[0])
        (runs / command[0]).mkdir()
        (runs / command[0] / "done").touch()
        return 0

    job = job_of(steps, tmp_path)
    assert run_job(job, run=run)
    assert ran == ["one", "two"]
    assert run_job(job, run=run)
    assert ran == ["one", "two"]


def test_only_takes_the_steps_of_that_name(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    names = ("k4-none-s0", "k4-both-s0")
    steps = [Step(command=(name,), done=runs / name / "done") for name in names]
    ran = []

    def run(command: tuple[str, ...]) -> int:
        ran.append(command[0])
        (runs / command[0]).mkdir()
        (runs / command[0] / "done").touch()
        return 0

    assert run_job(job_of(steps, tmp_path), only="*none*", run=run)
    assert ran == ["k4-none-s0"]
    with pytest.raises(SystemExit, match="2"):
        run_job(job_of(steps, tmp_path), only="k5*", run=run)


def test_a_budget_that_a_study_does_not_have_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        budget_name("tpu", ["cpu", "gpu"], toy=False)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: --budget tpu: use one of cpu, gpu\n"
    assert budget_name("gpu", ["cpu", "gpu"], toy=False) == ("gpu", "--budget gpu")
