"""A nested pair of products that differs in the names alone, and what is written of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studies.flow_decoder.budgets import SCALES, studies_of
from studies.flow_decoder.nested import nested_steps
from studies.flow_pair.command import PairArguments
from studies.flow_pair.page import write_results
from studies.flow_pair.steps import Pair, every_step, export_step
from studies.flow_products import PRODUCTS, Arguments, main
from studies.notes import NOTES
from studies.ten_classes import CLASSES, TEN_CLASSES, TOKENS
from studies.ten_classes import Arguments as TenClasses
from tests.studies.reports import reported
from textok.evaluate import GenerationReport


def test_the_pair_differs_in_its_text_alone(read: Any) -> None:
    commands = [read(step) for step in every_step(PRODUCTS, Arguments().place)]
    names = [name for name, _ in commands]
    train, measure = "train tokenizer", "evaluate reconstruction"
    generate = ["evaluate generation", "generate"]
    assert names[:5] == [train, measure, measure, train, measure]
    assert names[5:] == ["extract", "train generator", *generate, *generate]
    both, true, guided, none, absent = (config for _, config in commands[:5])
    assert (both.tokenizer.text, none.tokenizer.text) == ("both", "none")
    assert replace(none.tokenizer, text="both") == both.tokenizer
    assert replace(none, tokenizer=both.tokenizer, run=both.run) == both
    assert replace(none.run, out=both.run.out) == both.run
    assert both.tokenizer.nested and both.tokenizer.decoding == "flow"
    for config in (true, guided, absent):
        assert config.num_tokens == (0, 1, 2, 4, 8) and config.limit == 500
    kinds = [config.caption_modes for config in (true, guided, absent)]
    assert kinds == [("true", "absent"), ("true",), ("absent",)]
    scales = [config.decoding.caption_guidance for config in (true, guided, absent)]
    assert scales == [None, 3, None]
    generated = [config.decoding.caption_guidance for _, config in commands[7:]]
    assert generated == [1, 1, 3, 3]
    assert commands[6][1].latents.num_tokens == 4


def test_the_page_of_a_pair_that_is_half_measured_and_of_a_whole_one(
    tmp_path: Path, report: Callable[..., GenerationReport]
) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    arguments = Arguments(runs=runs, out=out, steps=10, limit=4)
    write(PRODUCTS, arguments)
    page = out / "README.md"
    assert "Not measured yet" in page.read_text()
    page.write_text(f"{page.read_text()}\n{NOTES}\n\nBy hand.\n")

    reported(runs / "both" / "test", [("true", 0, 60.0), ("absent", 0, 80.0)], lpips=0.3)
    write(PRODUCTS, arguments)
    assert "| 0 | – | 60.00 | – | 80.00 | – | – |" in page.read_text()

    reported(runs / "both" / "guided", [("true", 0, 50.0)], lpips=0.2)
    reported(runs / "none" / "test", [("absent", 0, 100.0)], lpips=0.4)
    write(PRODUCTS, arguments)
    measured(runs / "generator" / "guided", report(90.0, retrieval=0.25))
    write(PRODUCTS, arguments)
    text = page.read_text()
    assert "| generator | both | 3 | 90.00 | 0.500 |" in text
    assert "640 images each, 4 test images" in text
    assert "| 0 | 100.00 | 60.00 | 50.00 | 80.00 | 40.00 | 50.00 |" in text
    assert "| 0 | 0.400 | 0.300 | 0.200 | 0.300 | 25.00 | 50.00 |" in text
    assert "| 0 | 9.00 | 9.00 | 9.00 | 9.00 |" in text  # PSNR
    assert text.endswith(f"\n{NOTES}\n\nBy hand.\n")
    found = json.loads((out / "summary.json").read_text())
    assert found["nested"]["gain_percent"]["both"]["0"] == pytest.approx({"FD": 40, "LPIPS": 25})


def write(pair: Pair, arguments: PairArguments) -> None:
    write_results(pair, arguments.place, arguments.out)


def test_ten_classes_differ_from_the_whole_set_in_the_data_alone(read: Any) -> None:
    place = TenClasses().place
    export = read(export_step(TEN_CLASSES, place.data, Path("own")))[1]
    assert export.data.where == f"class={'|'.join(CLASSES)}" and len(set(CLASSES)) == 10
    commands = [read(step) for step in every_step(TEN_CLASSES, place)]
    (whole,) = (
        read(step)[1]
        for step in nested_steps(studies_of(SCALES["cpu"], Path("d"), Path("r")), TOKENS)
        if step.done == Path("r/flow/nested/k16-both-s0/report.md")
    )
    both = commands[0][1]
    assert replace(whole, data=both.data, text=both.text, run=both.run) == both
    assert replace(whole.text, cache=both.text.cache) == both.text
    assert replace(whole.run, out=both.run.out) == both.run
    extracted = [config for name, config in commands if name == "extract"]
    latents = place.runs / "latents"
    assert [config.out for config in extracted] == [latents / "none", latents / "both"]
    drawn = [config.decoding for name, config in commands if name == "evaluate generation"]
    assert [decoding.caption_guidance for decoding in drawn] == [None, 1, 3, 1, 3]


def test_a_generator_gains_by_captions_in_its_tokenizer(
    tmp_path: Path, report: Callable[..., GenerationReport]
) -> None:
    arguments = TenClasses(runs=tmp_path / "runs", out=tmp_path / "out", steps=10, limit=4)
    for name, folder, distance in (
        ("class-none", "test", 100.0),
        ("class-both", "test", 75.0),
        ("class-both", "guided", 50.0),
        ("text-both", "guided", 10.0),
    ):
        measured(arguments.runs / name / folder, report(distance, retrieval=None))
    write(TEN_CLASSES, arguments)
    text = (arguments.out / "README.md").read_text()
    assert "| class-none | none | 1 | 100.00 | 0.500 | 0.125 |" in text
    assert "Lower with the caption in the tokenizer, guidance 3: gFD-EffLite0 50.0 %." in text
    found = json.loads((arguments.out / "summary.json").read_text())
    assert found["generator_gain_percent"] == {"1": {"FD-EffLite0": 25}, "3": {"FD-EffLite0": 50}}


def measured(folder: Path, report: GenerationReport) -> None:
    folder.mkdir(parents=True)
    report.write(folder)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"limit": 1}, {"data": Path("nowhere")}])
def test_bad_settings_are_one_line(
    wrong: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
    place = {"data": tmp_path / "data", "runs": tmp_path / "runs", "out": tmp_path / "out"}
    with pytest.raises(SystemExit, match=r"^2$"):
        main(Arguments(**{**place, **wrong}))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert not (tmp_path / "runs").exists()
