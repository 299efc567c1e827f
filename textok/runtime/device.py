"""Where a model runs and in which numbers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def pick_device(name: str) -> str:
    """The device called ``name``; ``auto`` is a GPU where there is one.

    Raises ValueError for one that torch does not know or have.
    """
    if name == "auto":
        return str(best_device())
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device {name}: not to be had here ({reason})") from None
    return name


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
