from __future__ import annotations

import pytest
import torch
from torch import Tensor

from textok.metrics import distances
from textok.metrics.precision_recall import inside, precision_recall

# On a line, with one neighbour: radii 1, 1, 2, 5. The balls cover [-1, 5] and [3, 13].
POINTS = torch.tensor([[0.0], [1.0], [3.0], [8.0]])


def test_balls_reach_their_neighbour_and_no_further() -> None:
    queries = torch.tensor([[-1.0], [-1.01], [5.0], [13.0], [13.01], [100.0]])

    assert inside(queries, POINTS, k=1).tolist() == [True, False, True, True, False, False]


def test_more_neighbours_make_larger_balls() -> None:
    # Radii with two neighbours: 3, 2, 3, 7.
    queries = torch.tensor([[-3.0], [-3.01], [15.0], [15.01]])

    assert inside(queries, POINTS, k=2).tolist() == [True, False, True, False]


def test_precision_and_recall_by_hand() -> None:
    # The drawn ones lie at 0.5, 1.5 (radius 1) and 40 (radius 38.5, which covers 1.5 and up).
    drawn = torch.tensor([[0.5], [1.5], [40.0]])
    found = precision_recall(POINTS, drawn, k=1)

    assert found.precision == pytest.approx(2 / 3)  # 40 is in no ball of the real ones
    assert found.recall == 1.0  # 0 and 1 lie within 1 of 0.5, 3 and 8 within 38.5 of 40


def test_one_mode_of_two_is_precise_and_recalls_half() -> None:
    generator = torch.Generator().manual_seed(0)
    mode = torch.randn(200, 4, generator=generator)
    drawn = torch.randn(200, 4, generator=generator)
    found = precision_recall(torch.cat([mode, mode + 100]), drawn)

    assert found.precision > 0.9
    assert 0.45 < found.recall <= 0.5


def test_far_from_zero_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK", 2)
    offset = 1e6  # in float32, squares about zero would swallow every distance
    queries = torch.tensor([[5.0], [13.0], [14.0]])

    assert inside(queries + offset, POINTS + offset, k=1).tolist() == [True, True, False]


def test_copies_are_inside_what_they_copy() -> None:
    copies: Tensor = torch.randn(300, 16, generator=torch.Generator().manual_seed(1)).abs()
    found = precision_recall(copies, copies)

    assert (found.precision, found.recall) == (1.0, 1.0)


def test_too_few_images() -> None:
    with pytest.raises(ValueError, match="with 3 neighbours need more than 3 images, not 3"):
        precision_recall(torch.zeros(3, 2), torch.zeros(9, 2))
