"""Every setting draws the same pictures, once, and the plots and the table hold them all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studies import sampling
from studies.sampling import BUDGETS, Setting, folder_of, settings, step_of, write_tables
from textok.config.generator import SamplingOptions


def test_settings_are_the_sweeps_without_repetition() -> None:
    names = [setting.name for setting in settings(3)]
    assert names == [
        *(f"euler-{steps}-g3" for steps in (4, 8, 16, 32, 64, 250)),
        *(f"euler-32-g{scale}" for scale in ("1", "1.5", "2", "4", "6")),
        *("heun-4-g3", "dpmpp-8-g3", "heun-8-g3", "dpmpp-16-g3"),
    ]


@pytest.mark.parametrize(
    ("sampler", "steps", "guidance", "calls"),
    [("euler", 8, 1, 8), ("euler", 8, 3, 16), ("heun", 4, 1, 7), ("heun", 8, 2, 30)],
)
def test_calls_of_the_network(sampler: str, steps: int, guidance: float, calls: int) -> None:
    assert Setting(sampler=sampler, steps=steps, guidance=guidance).calls == calls


@pytest.mark.parametrize("name", BUDGETS)
def test_only_the_sampling_differs(name: str, read) -> None:
    budget, pictures = BUDGETS[name], set()
    for setting in settings(3):
        step = step_of(setting, "model", budget, Path("data"), Path("runs"))
        command, asked = read(step)
        assert command == "evaluate generation"
        drawn = (asked.sampling.sampler, asked.sampling.steps, asked.sampling.guidance)
        assert drawn == (setting.sampler, setting.steps, setting.guidance)
        assert asked.out == folder_of(setting, budget, Path("runs"))
        assert step.done == asked.out / "report.json"
        pictures.add(replace(asked, sampling=SamplingOptions(), out=Path()))
    assert len(pictures) == 1
    assert (asked.data.split, asked.data.where) == ("val", "style!=openmoji")
    assert asked.num_images == budget.pictures


def test_the_table_holds_all_and_the_best_is_of_lowest_distance(report, tmp_path: Path) -> None:
    every = settings(3)
    found = {setting: report(200 - setting.calls / 10) for setting in every[:-1]}
    best = write_tables(found, 3, "python -m studies.sampling", tmp_path)
    assert best == Setting(sampler="euler", steps=250, guidance=3)
    text = (tmp_path / "comparison.md").read_text()
    assert "| euler | 250 | 3 | 500 | 150.00 | 0.500 | 0.125 | 0.250 | 0.750 |" in text
    assert "| euler | 32 | 1 | 32 | 196.80 |" in text
    assert text.count("| euler |") + text.count("| heun |") + text.count("| dpmpp |") == 14
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"comparison.md", "steps.png", "guidance.png"}


def test_an_unfinished_study_shows_what_it_has(report, tmp_path: Path) -> None:
    first = settings(3)[0]
    assert write_tables({first: report(1)}, 3, "x", tmp_path) == first


def test_a_plot_has_a_point_for_every_setting(
    report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []

    class Kept(sampling.Figure):
        def savefig(self, target: Path, **options: object) -> None:
            kept.append(self)

    monkeypatch.setattr(sampling, "Figure", Kept)
    found = {setting: report(setting.calls, retrieval=0.5) for setting in settings(3)}
    write_tables(found, 3, "x", tmp_path)
    steps, guidance = kept
    lines = {line.get_label(): line for line in steps.axes[0].lines}
    assert list(lines["euler"].get_xdata()) == [8, 16, 32, 64, 128, 500]
    assert list(lines["heun"].get_ydata()) == [14, 30]
    assert list(lines["dpmpp"].get_xdata()) == [16, 32]
    assert list(guidance.axes[0].lines[0].get_xdata()) == [1, 1.5, 2, 3, 4, 6]
    assert [len(axes.lines) for axes in guidance.axes] == [1, 2, 1]
