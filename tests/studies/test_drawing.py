"""Tables say what the reports say, and only reports of one protocol stand in one table."""

from __future__ import annotations

from pathlib import Path

import pytest

from studies.drawing import quality_table, reports_in, write_comparison


def test_a_row_is_the_mean_and_range_over_seeds(report) -> None:
    rows = [
        (["2", "none"], [report(200, precision=0.5), report(210, precision=0.7)]),
        (["2", "both"], [report(150, retrieval=0.5)]),
    ]
    assert quality_table(["tokens", "text"], rows) == [
        "| tokens | text | FD-EffLite0 ↓ | precision ↑ | recall ↑ | retrieval@1 ↑ "
        "| of real images |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| 2 | none | 205.00 (200.00 to 210.00) | 0.600 (0.500 to 0.700) "
        "| 0.125 (0.125 to 0.125) | 0.250 (0.250 to 0.250) | 0.750 (0.750 to 0.750) |",
        "| 2 | both | 150.00 | 0.500 | 0.125 | 0.500 | 0.750 |",
    ]


def test_what_was_not_measured_is_left_out(report) -> None:
    heads, _, row = quality_table(["kind"], [(["class"], [report(10, retrieval=None)])])
    assert heads == "| kind | FD-EffLite0 ↓ | precision ↑ | recall ↑ |"
    assert row == "| class | 10.00 | 0.500 | 0.125 |"


def test_a_comparison_names_its_command_and_protocol(report, tmp_path: Path) -> None:
    write_comparison(tmp_path / "out", "python -m this", [report(1), report(2)], ["| a |"], [])
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert text.startswith("    python -m this\n\n| a |\n\n- split: test\n- where: everything\n")
    assert text.endswith("- feature network: some network\n\n- Warning: few\n")


def test_reports_of_other_pictures_do_not_compare(report, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pictures is 80 in one report and 160 in another"):
        write_comparison(tmp_path, "x", [report(1), report(2, pictures=80)])
    assert not (tmp_path / "comparison.md").exists()


def test_what_is_not_complete_is_not_read(report, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    report(3).write(tmp_path / "a")
    found = reports_in({"a": tmp_path / "a", "b": tmp_path / "b"})
    assert {key: one.scores.frechet for key, one in found.items()} == {"a": 3}
