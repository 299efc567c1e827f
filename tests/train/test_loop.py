from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.train.tasks import one_process
from textok.config import RunConfig
from textok.runtime.checkpoint import load_newest
from textok.runtime.run_folder import RunFolder
from textok.runtime.run_log import read_log
from textok.train.distributed import Distributed
from textok.train.loop import resume, train
from textok.types import Batch


class Sum:
    """Adds up what it is given; signals itself at ``stop_at``."""

    def __init__(self, stop_at: int = -1) -> None:
        self.total, self.stop_at = 0.0, stop_at

    def step(self, micro_batches: Sequence[Batch], step: int) -> dict[str, Tensor]:
        self.total += sum(batch.images.sum().item() for batch in micro_batches)
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return {"loss": torch.tensor(self.total)}

    def sheet(self) -> Image.Image:
        return Image.new("RGB", (4, 4))

    def measure(self) -> dict[str, float]:
        return {"measured": self.total}

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "total").write_text(str(self.total))

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total = state["total"]


def batches(step: int) -> Iterator[list[Batch]]:
    for number in itertools.count(step):
        yield [Batch(images=torch.full((1, 3, 1, 1), number / 3), captions=[""], keys=["x"])]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    folder.open(RunConfig())
    return folder


def go(task: Sum, folder: RunFolder, **settings: Any) -> None:
    settings = {"steps": 6, "log_every": 2, "save_every": 4, "save_minutes": 0, **settings}
    train(
        task,
        batches,
        config=RunConfig(batch_size=1, sheet_every=3, **settings),
        folder=folder,
        distributed=one_process(),
    )


def saved(folder: RunFolder) -> list[int]:
    return sorted(int(path.name[5:]) for path in folder.checkpoints.iterdir())


def test_ctrl_c_saves_and_the_same_call_goes_on(
    folder: RunFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        go(Sum(stop_at=2), folder)
    assert stop.value.code == 130
    assert "stopped and saved at step 3: run the same command to go on" in capfd.readouterr().err
    assert saved(folder) == [3]
    assert (folder.model / "total").read_text() == "3.0"
    task = Sum()
    go(task, folder)
    assert task.total == 15
    # Every second step, and with each sheet what is measured then.
    assert [
        (line["step"], line["loss"], line.get("measured")) for line in read_log(folder.root)
    ] == [
        (2, 1.0, None),
        (3, 3.0, 3.0),
        (4, 6.0, None),
        (6, 15.0, 15.0),
    ]
    assert saved(folder) == [4, 6]
    assert sorted(p.name for p in folder.sheets.iterdir()) == [
        "step-00000003.png",
        "step-00000006.png",
    ]


def test_a_stop_at_the_last_step_is_the_end(folder: RunFolder) -> None:
    go(Sum(stop_at=5), folder)
    assert saved(folder) == [4, 6]


def test_minutes_save_too(folder: RunFolder) -> None:
    go(Sum(), folder, save_minutes=1e-9, save_every=100, keep=9)
    assert saved(folder) == [1, 2, 3, 4, 5, 6]


def test_a_run_that_is_longer_than_asked_for_is_left_alone(folder: RunFolder) -> None:
    go(Sum(), folder)
    task = Sum()
    go(task, folder, steps=2)
    assert task.total == 15 and saved(folder) == [4, 6]


def test_processes_that_see_different_checkpoints_are_refused(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Distributed, "gather_objects", lambda self, step: [step, 7])
    with pytest.raises(ValueError, match=r"checkpoints of steps \[0, 7\].*folder that all of them"):
        resume(Sum(), folder, one_process())


def test_the_checkpoint_holds_the_settings_and_the_generator(folder: RunFolder) -> None:
    torch.manual_seed(3)
    go(Sum(), folder)
    expected = torch.get_rng_state()
    found = load_newest(folder.checkpoints, say=pytest.fail)
    assert found is not None and found[1]["config"] == folder.config.read_text()
    torch.manual_seed(4)
    resume(Sum(), folder, one_process())
    assert torch.equal(torch.get_rng_state(), expected)
