"""The --device of every command."""

from __future__ import annotations


def pick_device(name: str) -> str:
    """The device called ``name``. Raises ValueError for one that torch does not know or have."""
    import torch

    from textok.runtime.device import best_device

    if name == "auto":
        return str(best_device())
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device {name}: not to be had here ({reason})") from None
    return name
