from __future__ import annotations

import math
from pathlib import Path

from textok.runtime.run_log import LOG, RunLog, read_log


def test_what_was_logged_after_the_step_that_is_continued_is_forgotten(tmp_path: Path) -> None:
    log = RunLog(tmp_path, step=0)
    for step in (10, 20, 30):
        log.write(step, {"loss": step / 7})
    log.close()
    with (tmp_path / LOG).open("a") as file:
        file.write('{"step": 40, "lo')
    log = RunLog(tmp_path, step=20)
    log.write(30, {"loss": 0.5})
    log.close()
    assert read_log(tmp_path) == [
        {"step": 10, "loss": 10 / 7},
        {"step": 20, "loss": 20 / 7},
        {"step": 30, "loss": 0.5},
    ]
    assert len((tmp_path / LOG).read_text().splitlines()) == 3


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    log = RunLog(tmp_path, step=0)
    log.write(1, {"loss": math.nan, "norm": math.inf, "kl": 2.0})
    log.close()
    assert (tmp_path / LOG).read_text() == '{"step": 1, "loss": null, "norm": null, "kl": 2.0}\n'


def test_damaged_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = ['{"step": 1, "loss": 0.5}', "\0\0\0\0", '{"step": 2, "lo', '{"step": "3"}', "[4]",
             '{"step": 5, "loss": null}', '{"step": 6, "loss": "x"}']  # fmt: skip
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n" + '{"step": 7')
    said: list[str] = []
    assert read_log(tmp_path, say=said.append) == [
        {"step": 1, "loss": 0.5},
        {"step": 5, "loss": None},
    ]
    assert said == [f"{tmp_path / 'log.jsonl'}: 5 damaged lines are left out"]
