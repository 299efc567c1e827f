from __future__ import annotations

import pytest

from textok.datasets.pictograms.render import Measurement
from textok.datasets.pictograms.twins import near_pairs


def measurement(key: str, thumb: bytes) -> Measurement:
    return Measurement(key=key, digest=key, thumb=thumb.hex(), colours=())


def test_near_pairs_are_exact() -> None:
    base = bytes(range(256)) * 3
    lighter = bytes(min(255, value + 2) for value in base)
    far = bytes(255 - value for value in base)
    all_three = {"a": measurement("a", base), "b": measurement("b", lighter)}
    all_three["c"] = measurement("c", far)
    keys = list(all_three)
    pairs = list(near_pairs(keys, keys, all_three, below=2.0))
    assert {(pair.first, pair.second) for pair in pairs} == {("a", "b"), ("b", "a")}
    # 254 of 256 values rise by 2, one by 1, one by 0.
    assert pairs[0].distance == pytest.approx(((254 * 4 + 1) / 256) ** 0.5, abs=1e-12)
    assert list(near_pairs(["a"], ["c", "b"], all_three, below=1.9)) == []
