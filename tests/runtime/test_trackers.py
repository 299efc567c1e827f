"""Trackers get the scalars and sheets of a run, and continue it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from textok.config import RunConfig
from textok.config.read import build
from textok.runtime.trackers import open_tracker

SHEET = Image.new("RGB", (8, 4), "red")


class FakePackage:
    """What W&B and trackio have in common; notes every call."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def init(self, **options: object) -> None:
        self.calls.append(options)

    def log(self, values: dict[str, object], *, step: int) -> None:
        self.calls.append((step, values))

    def finish(self) -> None:
        self.calls.append("finished")

    def Image(self, sheet: Image.Image) -> tuple[int, int]:  # noqa: N802, the packages' name
        return sheet.size


def test_tensorboard_has_scalars_and_sheets_and_forgets_steps_that_are_repeated(
    tmp_path: Path,
) -> None:
    for first, loss in ((0, 1.0), (2, 0.5)):
        tracker = open_tracker("tensorboard", tmp_path, project="p", step=first)
        for step in range(first + 1, 5):
            tracker.log(step, {"loss": loss})
        tracker.show(4, SHEET)
        tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [
        (1, 1.0), (2, 1.0), (3, 0.5), (4, 0.5),
    ]  # fmt: skip
    (image,) = events.Images("sheet")
    assert (image.step, image.width, image.height) == (4, 8, 4)


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_the_others_get_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakePackage()
    monkeypatch.setitem(sys.modules, name, fake)
    tracker = open_tracker(name, tmp_path, project="images", step=0)
    tracker.log(5, {"loss": 1.0})
    tracker.show(5, SHEET)
    tracker.close()
    own = {"dir": str(tmp_path), "id": tmp_path.name} if name == "wandb" else {"embed": False}
    assert fake.calls == [
        {"project": "images", "name": tmp_path.name, "resume": "allow", **own},
        (5, {"loss": 1.0}),
        (5, {"sheet": (8, 4)}),
        "finished",
    ]


def test_none_writes_nothing(tmp_path: Path) -> None:
    tracker = open_tracker("none", tmp_path, project="p", step=0)
    tracker.log(1, {"loss": 1.0})
    tracker.show(1, SHEET)
    tracker.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_package_that_is_missing_or_refuses_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=rf"^run\.tracker is '{name}' but {name} is not installed"):
        open_tracker(name, tmp_path, project="p", step=0)

    class Refusing(FakePackage):
        def init(self, **options: object) -> None:
            raise RuntimeError("no API key")

    monkeypatch.setitem(sys.modules, name, Refusing())
    with pytest.raises(ValueError, match=rf"^run\.tracker: {name}: no API key; "):
        open_tracker(name, tmp_path, project="p", step=0)
    assert list(tmp_path.iterdir()) == []


def test_the_old_setting_still_loads() -> None:
    assert build(RunConfig, {"wandb": "images"}) == RunConfig(tracker="wandb", project="images")
    assert build(RunConfig, {"wandb": ""}) == RunConfig()
