"""A nested pair of products that differs in the names alone, and what is written of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studies.flow_products import Arguments, every_step, main, write
from studies.notes import NOTES
from tests.studies.reports import reported
from textok.evaluate import GenerationReport


def test_the_pair_differs_in_its_text_alone(read: Any) -> None:
    commands = [read(step) for step in every_step(Arguments())]
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
    write(arguments)
    page = out / "README.md"
    assert "Not measured yet" in page.read_text()
    page.write_text(f"{page.read_text()}\n{NOTES}\n\nBy hand.\n")

    reported(runs / "both" / "test", [("true", 0, 60.0), ("absent", 0, 80.0)], lpips=0.3)
    write(arguments)
    assert "| 0 | – | 60.00 | – | 80.00 | – | – |" in page.read_text()

    reported(runs / "both" / "guided", [("true", 0, 50.0)], lpips=0.2)
    reported(runs / "none" / "test", [("absent", 0, 100.0)], lpips=0.4)
    write(arguments)
    measured(runs / "generator" / "guided", report(90.0, retrieval=0.25))
    write(arguments)
    text = page.read_text()
    assert "| 3 | 90.00 | 0.500 |" in text
    assert "640 images each, 4 test images" in text
    assert "| 0 | 100.00 | 60.00 | 50.00 | 80.00 | 40.00 | 50.00 |" in text
    assert "| 0 | 0.400 | 0.300 | 0.200 | 0.300 | 25.00 | 50.00 |" in text
    assert "| 0 | 9.00 | 9.00 | 9.00 | 9.00 |" in text  # PSNR
    assert text.endswith(f"\n{NOTES}\n\nBy hand.\n")
    found = json.loads((out / "summary.json").read_text())
    assert found["nested"]["gain_percent"]["both"]["0"] == pytest.approx({"FD": 40, "LPIPS": 25})


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
