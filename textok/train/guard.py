"""The guard against training steps whose numbers are not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from textok.train.distributed import Distributed


class Guard:
    """Skips a step unless its numbers are finite on all processes, and counts what it skipped."""

    def __init__(self, distributed: Distributed, *, limit: int) -> None:
        self._distributed, self._limit = distributed, limit
        self.skipped = 0
        self.in_a_row = 0

    def passes(self, step: int, numbers: list[Tensor]) -> bool:
        """Whether all ``numbers`` of all processes are finite; the same answer on each.

        Raises ValueError at the ``limit``-th step in a row that is not.
        """
        bad = (~torch.isfinite(torch.stack(numbers))).any().float()
        if not bool(self._distributed.sum(bad)):
            self.in_a_row = 0
            return True
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= self._limit:
            raise ValueError(
                f"stopped at step {step}: {self.in_a_row} steps in a row gave a loss or gradient "
                f"that is not finite; lower optim.lr, or set qk_norm or run.precision=fp32, and "
                f"start from an earlier checkpoint"
            )
        return False

    def state_dict(self) -> dict[str, int]:
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.skipped, self.in_a_row = state["skipped"], state["in_a_row"]
