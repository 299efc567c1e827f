from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from textok.evaluate.store import Store


class Counting:
    """Rows that say which they are, and how often they were made."""

    def __init__(self, *, stop_at: int = 10**9) -> None:
        self.made: list[int] = []
        self._stop_at = stop_at

    def __call__(self, rows: range) -> Tensor:
        if rows.start >= self._stop_at:
            raise KeyboardInterrupt
        self.made += rows
        return torch.tensor([[row, row] for row in rows])


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    store = Store(folder=tmp_path / "new", count=10, size=4)
    store.fill("kind", "x", Counting(), what="rows")

    assert store.all("kind")[:, 0].tolist() == list(range(10))
    assert [len(piece) for piece in store.pieces("kind")] == [4, 4, 2]
    assert store.rows("kind", [9, 0, 4])[:, 1].tolist() == [9, 0, 4]


def test_what_was_made_before_an_interruption_is_kept(tmp_path: Path) -> None:
    store = Store(folder=tmp_path, count=10, size=4)
    first, second = Counting(stop_at=8), Counting()
    with pytest.raises(KeyboardInterrupt):
        store.fill("kind", "x", first, what="rows")
    store.fill("kind", "x", second, what="rows")

    assert (first.made, second.made) == (list(range(8)), [8, 9])


def test_rows_of_other_settings_and_damaged_ones_are_made_again(tmp_path: Path) -> None:
    store = Store(folder=tmp_path, count=4, size=2)
    again, repaired = Counting(), Counting()
    store.fill("kind", "x", Counting(), what="rows")
    store.fill("kind", "y", again, what="rows")
    (tmp_path / "kind-00001.safetensors").write_bytes(b"cut")
    store.fill("kind", "y", repaired, what="rows")

    assert (again.made, repaired.made) == ([0, 1, 2, 3], [2, 3])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "kind-00000.safetensors",
        "kind-00001.safetensors",
    ]
