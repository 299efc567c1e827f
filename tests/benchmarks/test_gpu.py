"""Every row runs at toy size; the deadline, failures and going on keep what is known."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

import benchmarks.gpu as gpu
from benchmarks.gpu import main, measure_rows
from benchmarks.gpu_report import DONE, Report, Result, open_report
from benchmarks.gpu_rows import CountingBench, Row, Sizes, rows
from benchmarks.parts_report import Part


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return open_report(tmp_path, [], Sizes(), (1e12, "a guess"))


def row(name: str, measure: object, seconds: float = 0) -> Row:
    return Row(name=name, seconds=seconds, measure=measure)  # type: ignore[arg-type]


def fill(bench: CountingBench) -> None:
    bench.add("a part", "eager", 4, 8.0)
    bench.flops["a part"] = 1e9


def run(todo: list[Row], report: Report, seconds: float = 60) -> dict[str, str]:
    end = time.monotonic() + seconds
    measure_rows(todo, report, end=end, repeats=1, toy=False)
    return {name: one.state for name, one in report.results.items()}


def test_all_rows_at_toy_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("diffusers")
    began = time.process_time()
    command = ["--toy", "--repeats", "1", "--seconds", "3000", "--out", str(tmp_path)]
    main(command)
    assert time.process_time() - began < 60
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [one["state"] for one in found["rows"]] == [DONE] * 12
    assert all(part["ms"] > 0 for one in found["rows"] for part in one["parts"])
    counted = {part for one in found["rows"] for part in one["flops"]}
    assert counted == {"tokenizer, training step", "generator, training step"}
    page = (tmp_path / "gpu.md").read_text()
    assert "| MeanFlow, 16 steps | compiled |" in page and "not complete" not in page
    assert "| TexTok, 250 steps | fused |" in page and page.count("- Goal in ") == 2
    capsys.readouterr()
    main(command)
    assert capsys.readouterr().out.count("already measured") == 12


def test_the_most_valuable_rows_are_first() -> None:
    names = [one.name for one in rows(Sizes())]
    assert names[:3] == [
        "tokenizer step, 32",
        "tokenizer step, 32, compiled",
        "generator step, compiled",
    ]
    # Those after it are for a second call.
    drawing = next(place for place, one in enumerate(rows(Sizes())) if one.name == "picture")
    assert sum(one.seconds for one in rows(Sizes())[: drawing + 1]) < 250
    assert sum(one.seconds for one in rows(Sizes())[:-2]) < 400


def test_both_goals_are_decided_by_the_times(report: Report) -> None:
    """The original takes 250 * 22 + 20 ms, or 250 * 5.8 + 20; ours 200 and 20 ms."""

    def measured(bench: CountingBench) -> None:
        bench.add("DiT-XL/2 step", "eager", 1, 22.0)
        bench.add("DiT-XL/2 step", "compiled", 1, 5.8)
        bench.add("SD-VAE decoding", "eager", 1, 20.0)
        bench.add("TexTok, picture in 250", "compiled", 1, 220.0)
        bench.add("TexTok, picture in 250", "fused", 1, 200.0)
        bench.add("TexTok, picture in 16", "fused", 1, 20.0)

    run([row("one", measured)], report)
    page = (report.folder / "gpu.md").read_text()
    assert "| TexTok, 250 steps | fused | 200 | 27.6 | 7.3 |" in page
    assert "- Goal in 250 steps: 25 times the original eager; 27.6, reached." in page
    assert "- Goal in 16 steps: 93.5 times the original compiled; 73.5, not reached." in page


def test_the_share_of_the_peak(report: Report) -> None:
    run([row("one", fill)], report)
    # 4 images of 1 GFLOP in 8 ms are 0.5 TFLOP/s.
    assert "| a part | 4 | 8 |  |  |  |  | 500 | 50.0 % |" in (report.folder / "gpu.md").read_text()


def test_a_row_that_fails_does_not_stop_the_others(report: Report) -> None:
    def fail(bench: CountingBench) -> None:
        fill(bench)
        raise RuntimeError("out of\nmemory")

    assert run([row("bad", fail), row("good", fill)], report) == {
        "bad": "RuntimeError: out of memory",
        "good": DONE,
    }
    assert len(report.results["bad"].parts) == 1
    assert run([row("bad", fill)], report)["bad"] == DONE


def test_the_time_ends_inside_a_row(report: Report) -> None:
    def hang(bench: CountingBench) -> None:
        fill(bench)
        try:
            time.sleep(60)
        except Exception:
            pytest.fail("taken for an error")

    began = time.monotonic()
    states = run([row("slow", hang), row("late", fill)], report, seconds=0.2)
    assert states == {"slow": "out of time"}
    assert time.monotonic() - began < 30
    assert len(json.loads((report.folder / "gpu.json").read_text())["rows"][0]["parts"]) == 1


def test_no_row_is_begun_that_takes_longer_than_is_left(report: Report) -> None:
    assert run([row("long", fill, seconds=90), row("short", fill)], report) == {"short": DONE}


def test_another_machine_is_another_report(report: Report, tmp_path: Path) -> None:
    report.machine = {"GPU": "another"}
    part = Part(part="a", way="eager", images=1, ms=1, first_s=0)
    report.add(Result(row="one", state=DONE, seconds=1, parts=[part], flops={}))
    with pytest.raises(ValueError, match="another --out"):
        open_report(tmp_path, [], Sizes(), (1e12, "a guess"))
    (tmp_path / "gpu.json").write_text("{}")
    with pytest.raises(ValueError, match="move it away"):
        open_report(tmp_path, [], Sizes(), (1e12, "a guess"))


def test_an_error_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "peak_flops", lambda *_: (1.0, ""))
    (tmp_path / "gpu.json").write_text("no JSON")
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["--out", str(tmp_path)])
    assert re.fullmatch(r"gpu: error: .*move it away\n", capsys.readouterr().err)
