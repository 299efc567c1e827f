"""Where a model runs and in which numbers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def best_device() -> torch.device:
    """The first GPU there is, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def autocast(device: torch.device | str, precision: Precision) -> AbstractContextManager[object]:
    """bf16 matrix products inside the context, weights stay as they are; fp32 changes nothing."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)
