from __future__ import annotations

import pytest
import torch

from textok.metrics import neighbours
from textok.metrics.neighbours import nearest


def test_nearest_first_by_angle_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 1)
    points = torch.tensor([[0.0, 5.0], [9.0, 9.0], [0.1, 0.0], [-1.0, -1.0]])
    found = nearest(torch.tensor([[3.0, 0.0], [0.0, 0.01]]), points, k=3)

    assert found.rows.tolist() == [[2, 1, 0], [0, 1, 2]]
    half = 1 - 2**-0.5  # 1 - cos 45°
    expected = torch.tensor([[0.0, half, 1.0], [0.0, half, 1.0]])
    torch.testing.assert_close(found.distances, expected, rtol=0, atol=1e-6)


def test_no_more_neighbours_than_points() -> None:
    assert nearest(torch.ones(2, 3), torch.ones(1, 3), k=3).rows.tolist() == [[0], [0]]
