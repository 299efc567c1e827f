from __future__ import annotations

import pytest
import torch
from torch import Tensor

from textok.metrics import kernel_distance as module
from textok.metrics.kernel_distance import (
    kernel_distance,
    kernel_distances,
    kernel_metric,
    mmd2,
)


def features(count: int, width: int, *, seed: int, offset: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) + offset


def test_two_sets_of_two_by_hand() -> None:
    # F = 2, k(x, y) = (x y / 2 + 1)^3. Within a the product is 0, k = 1; within b it is 2, k = 8.
    # Across they are 2, 4 and 0, 2: k = 8, 27, 1, 8, on average 11.
    a = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    b = torch.tensor([[1.0, 0.0], [2.0, 1.0]])
    found = kernel_distance(a, b, subsets=3)

    assert found.mean == pytest.approx(1 + 8 - 2 * 11, abs=1e-12)
    assert found.std == pytest.approx(0, abs=1e-12)
    assert found.subset_size == 2


def test_agrees_with_torchmetrics_on_the_same_subset() -> None:
    kid = pytest.importorskip("torchmetrics.image.kid")
    a, b = features(60, 24, seed=1), features(60, 24, seed=2, offset=0.4)
    theirs = float(kid.poly_mmd(a.double(), b.double()))

    assert kernel_distance(a, b, subsets=2).mean == pytest.approx(theirs, rel=1e-12)
    assert theirs > 0.01


def test_subsets_are_drawn_with_the_seed_and_without_replacement() -> None:
    a, b = features(40, 8, seed=3), features(50, 8, seed=4, offset=1.0)
    generator = torch.Generator().manual_seed(7)
    expected = []
    for _ in range(5):
        x = a[torch.randperm(40, generator=generator)[:20]].double()
        y = b[torch.randperm(50, generator=generator)[:20]].double()
        kernels = [(p @ q.T / 8 + 1) ** 3 for p, q in ((x, x), (y, y), (x, y))]
        expected.append(float(mmd2(*kernels)))
    found = kernel_distance(a, b, subsets=5, subset_size=20, seed=7)

    assert found.mean == pytest.approx(sum(expected) / 5, rel=1e-12)
    assert found.std == pytest.approx(torch.tensor(expected).std(correction=0).item(), rel=1e-5)
    assert found.std > 0
    assert kernel_distance(a, b, subsets=5, subset_size=20, seed=7) == found
    assert kernel_distance(a, b, subsets=5, subset_size=20, seed=8) != found


def test_large_sets_give_what_a_whole_kernel_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = features(30, 8, seed=5), features(40, 8, seed=6)
    whole = kernel_distance(a, b, subsets=4, subset_size=10)
    monkeypatch.setattr(module, "WHOLE", 35)

    assert kernel_distance(a, b, subsets=4, subset_size=10).mean == pytest.approx(
        whole.mean, rel=1e-9
    )


def test_unbiased_where_the_frechet_distance_is_not() -> None:
    # Of one distribution: every subset of 50 differs, their mean does not.
    a, b = features(1000, 16, seed=8), features(1000, 16, seed=9)
    found = kernel_distance(a, b, subsets=100, subset_size=50)

    assert abs(found.mean) < 4 * found.std / 100**0.5
    assert kernel_distance(a, b + 0.5, subset_size=50).mean > 10 * abs(found.mean)


def test_too_few() -> None:
    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        kernel_distance(torch.ones(1, 4), torch.ones(9, 4))


def test_names() -> None:
    assert list(map(kernel_metric, ("FID", "FD-VGG16"))) == ["KID", "KD-VGG16"]


def test_of_every_network_but_that_of_sfid() -> None:
    a = {name: features(9, 4, seed=1) for name in ("FID", "sFID", "FD-VGG16")}
    b = {name: features(9, 4, seed=2) for name in ("FID", "sFID", "FD-VGG16")}
    found = kernel_distances(a, b)

    assert list(found) == ["KID", "KD-VGG16"]
    assert found["KID"] == kernel_distance(a["FID"], b["FID"])
