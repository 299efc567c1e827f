from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from textok.runtime.checkpoint import (
    STRUCTURE,
    TENSORS,
    DamagedCheckpoint,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    save_checkpoint,
)
from textok.runtime.files import discard_leftovers

STATE = {
    "weights": {"a.b": torch.tensor([1.5, -2.0]), "none": torch.zeros(0, 3)},
    "optimizer": {0: {"step": torch.tensor(3.0)}, 1: {}},
    "groups": [{"lr": 0.1 + 0.2, "betas": (0.9, 0.99), "fused": True, "limit": None}],
    "rng": torch.arange(5, dtype=torch.uint8),
    "name": "tensor",
}


def test_a_nested_state_comes_back_exactly(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, 12, STATE, keep=1)
    assert folder.name == "step-00000012"
    assert sorted(p.name for p in folder.iterdir()) == [STRUCTURE, TENSORS]
    state = load_checkpoint(folder)
    assert list(state) == list(STATE)
    assert torch.equal(state["weights"]["a.b"], torch.tensor([1.5, -2.0]))
    assert state["weights"]["none"].shape == (0, 3)
    assert state["optimizer"] == {0: {"step": torch.tensor(3.0)}, 1: {}}
    assert state["groups"] == [
        {"lr": 0.30000000000000004, "betas": [0.9, 0.99], "fused": True, "limit": None}
    ]
    assert state["rng"].dtype == torch.uint8 and state["rng"].tolist() == [0, 1, 2, 3, 4]
    assert state["name"] == "tensor"


def test_tensors_that_share_memory_are_stored_apart(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    state = load_checkpoint(save_checkpoint(tmp_path, 1, {"x": base, "y": base.T}, keep=1))
    assert torch.equal(state["x"], base) and torch.equal(state["y"], base.T)


def test_an_optimizer_goes_on_from_its_stored_state(tmp_path: Path) -> None:
    def steps(weight: torch.Tensor, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            weight.grad = weight.detach() ** 2
            optimizer.step()

    first, second = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    whole, before = (torch.optim.AdamW([p], lr=0.1, fused=True) for p in (first, second))
    steps(first, whole, 5)
    steps(second, before, 2)
    state = {"weight": second, "optimizer": before.state_dict()}
    stored = load_checkpoint(save_checkpoint(tmp_path, 2, state, keep=1))
    third = torch.nn.Parameter(stored["weight"])
    after = torch.optim.AdamW([third], lr=0.5, fused=True)
    after.load_state_dict(stored["optimizer"])
    steps(third, after, 3)
    assert torch.equal(first, third)


def flip_a_byte(folder: Path) -> None:
    with (folder / TENSORS).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


def cut_short(folder: Path) -> None:
    os.truncate(folder / TENSORS, 40)


def change_a_number(folder: Path) -> None:
    path = folder / STRUCTURE
    path.write_text(path.read_text().replace("0.99", "0.98"))


def cut_the_structure(folder: Path) -> None:
    os.truncate(folder / STRUCTURE, 40)


def lose_the_tensors(folder: Path) -> None:
    (folder / TENSORS).unlink()


def lose_the_digest(folder: Path) -> None:
    record = json.loads((folder / STRUCTURE).read_text())
    del record["sha256"]
    (folder / STRUCTURE).write_text(json.dumps(record))


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_byte,
        cut_short,
        change_a_number,
        cut_the_structure,
        lose_the_tensors,
        lose_the_digest,
    ],
)
def test_every_damage_is_named_and_passed_over(tmp_path: Path, damage) -> None:
    save_checkpoint(tmp_path, 1, {"x": torch.tensor(1)}, keep=3)
    newest = save_checkpoint(tmp_path, 2, STATE, keep=3)
    damage(newest)
    with pytest.raises(DamagedCheckpoint, match="step-00000002 is damaged: "):
        load_checkpoint(newest)
    said: list[str] = []
    found = load_newest(tmp_path, say=said.append)
    assert found is not None and found[0] == 1 and found[1]["x"].item() == 1
    assert len(said) == 1 and "step-00000002 is damaged" in said[0] and "\n" not in said[0]


def test_without_a_good_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "missing", say=pytest.fail) is None
    cut_short(save_checkpoint(tmp_path, 1, STATE, keep=1))
    said: list[str] = []
    assert load_newest(tmp_path, say=said.append) is None
    assert len(said) == 1


def test_the_newest_are_kept_and_the_same_step_is_replaced(tmp_path: Path) -> None:
    for step in (9, 10, 11, 100):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2)
    assert [p.name for p in list_checkpoints(tmp_path)] == ["step-00000011", "step-00000100"]
    save_checkpoint(tmp_path, 100, {"step": "again"}, keep=2)
    assert load_newest(tmp_path, say=pytest.fail) == (100, {"step": "again"})
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_later_ones_do_not_count_as_kept(tmp_path: Path, keep: int) -> None:
    for step in (400, 500, 600):
        save_checkpoint(tmp_path, step, {"at": step}, keep=3)
    for step in (500, 600):
        (tmp_path / f"step-{step:08d}" / TENSORS).write_bytes(b"")
    save_checkpoint(tmp_path, 450, {"at": 450}, keep=keep)
    assert load_newest(tmp_path, say=lambda _: None) == (450, {"at": 450})
    assert (tmp_path / "step-00000400").is_dir() == (keep == 2)


def test_a_folder_of_another_name_is_left_alone(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        (tmp_path / "step-best").mkdir(exist_ok=True)
        save_checkpoint(tmp_path, step, {"a": torch.ones(1)}, keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-best"]
    found = load_newest(tmp_path, say=pytest.fail)
    assert found is not None and found[0] == 3


def test_what_was_half_written_is_no_checkpoint_and_is_cleaned(tmp_path: Path) -> None:
    (tmp_path / ".writing-step-00000007").mkdir()
    (tmp_path / ".retired-step-00000001").mkdir()
    (tmp_path / ".retired-step-00000001" / TENSORS).write_bytes(b"x")
    assert list_checkpoints(tmp_path) == []
    discard_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
