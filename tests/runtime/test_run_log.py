from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

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


def test_wandb_is_asked_for_but_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match=r"run\.wandb is set but wandb is not installed"):
        RunLog(tmp_path, step=0, wandb="project")


def test_wandb_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        class Error(Exception):
            pass

        def init(self, **options: object) -> None:
            raise self.Error("no API key")

    monkeypatch.setitem(sys.modules, "wandb", Refusing())
    with pytest.raises(ValueError, match=r"^run\.wandb: no API key; run `wandb login` first"):
        RunLog(tmp_path, step=0, wandb="project")
    assert list(tmp_path.iterdir()) == []


def test_wandb_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeWandb:
        def __init__(self) -> None:
            self.calls: list[object] = []

        def init(self, **options: object) -> FakeWandb:
            self.calls.append((options["project"], options["id"], options["resume"]))
            return self

        def log(self, values: dict[str, float], *, step: int) -> None:
            self.calls.append((step, values))

        def finish(self) -> None:
            self.calls.append("finished")

    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    log = RunLog(tmp_path, step=0, wandb="pictures")
    log.write(5, {"loss": 1.0})
    log.close()
    assert fake.calls == [("pictures", tmp_path.name, "allow"), (5, {"loss": 1.0}), "finished"]


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
