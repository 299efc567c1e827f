"""Numbers and words of the wrong kind are refused in a line, whatever type they have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from textok.config import DecodingConfig, GuidanceConfig, SamplingConfig
from textok.config.check import require_range, whole_number


@pytest.mark.parametrize("value", [7, np.int64(7), np.uint8(7), torch.tensor(7), np.array(7)])
def test_a_whole_number_of_any_type(value: Any) -> None:
    found = whole_number("steps", value, 1, 7)

    assert found == 7 and type(found) is int


@pytest.mark.parametrize(
    "value", [7.0, "7", None, [7], float("nan"), np.float32(7), torch.tensor(7.0), 8, 0]
)
def test_what_is_none(value: Any) -> None:
    with pytest.raises(ValueError, match=r"steps is .*: it must be"):
        whole_number("steps", value, 1, 7)


@pytest.mark.parametrize("value", ["2", None, [2], np.array([1, 2]), torch.ones(2), float("nan")])
def test_what_is_in_no_range(value: Any) -> None:
    with pytest.raises(ValueError, match=r"scale is .*: it must be >= 0 and <= 5") as error:
        require_range("scale", value, 0, 5)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (SamplingConfig, {"sampler": "eular"}),
        (SamplingConfig, {"steps": 2.5}),
        (DecodingConfig, {"sampler": "eular"}),
        (DecodingConfig, {"steps": "4"}),
        (GuidanceConfig, {"form": "add"}),
        (GuidanceConfig, {"schedule": "cosine"}),
        (GuidanceConfig, {"scale": "3"}),
    ],
)
def test_settings_made_in_python_are_checked_too(kind: type[Any], wrong: dict[str, Any]) -> None:
    ((name, _),) = wrong.items()
    with pytest.raises(ValueError, match=rf"{name} is .*: it must be"):
        kind(**wrong)
