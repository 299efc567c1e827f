"""The guard against training steps whose numbers are not finite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from textok.train.distributed import Distributed


class HostCopy:
    """A scalar on its way from the device, read without waiting for what is queued behind it."""

    def __init__(self, value: Tensor) -> None:
        self._value = value.to("cpu", non_blocking=True)
        self._arrived: torch.cuda.Event | None = None
        if value.is_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self) -> float:
        if self._arrived is not None:
            self._arrived.synchronize()
        return float(self._value.numpy())


@dataclass(frozen=True, kw_only=True)
class _Undecided:
    """A step that the optimisers have taken or not, which the host does not know yet."""

    step: int
    bad: HostCopy
    follow: Callable[[], None]


class Guard:
    """Skips a step unless its numbers are finite on all processes, and counts what it skipped.

    ``passes`` waits for the answer. A GPU would stand still meanwhile; there ``decide_later``
    leaves it until ``settle``, when the next step is queued: the optimisers skip by the tensor that
    ``bad`` gives, what else follows from a good step follows then, and the run ends then. State and
    counts are the same once settled.
    """

    def __init__(self, distributed: Distributed, *, limit: int) -> None:
        self._distributed, self._limit = distributed, limit
        self._undecided: _Undecided | None = None
        self.skipped = 0
        self.in_a_row = 0

    def bad(self, numbers: list[Tensor]) -> Tensor:
        """1 where any of ``numbers`` of any process is not finite, else 0; the same on each."""
        own = (~torch.isfinite(torch.stack(numbers))).any().float()
        return self._distributed.sum(own).clamp(max=1)

    def passes(self, step: int, bad: Tensor) -> bool:
        """Whether the step is a good one.

        Raises ValueError at the ``limit``-th step in a row that is not.
        """
        return self._count(step, bool(bad))

    def decide_later(self, step: int, bad: Tensor, follow: Callable[[], None]) -> None:
        """Call ``follow`` in ``settle`` if the step is a good one."""
        self._undecided = _Undecided(step=step, bad=HostCopy(bad), follow=follow)

    def settle(self) -> None:
        """Find out about the step that was left undecided, if any. Raises what ``passes`` does."""
        left, self._undecided = self._undecided, None
        if left is not None and self._count(left.step, left.bad.read() > 0):
            left.follow()

    def _count(self, step: int, bad: bool) -> bool:
        if not bad:
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
        self._undecided = None
        self.skipped, self.in_a_row = state["skipped"], state["in_a_row"]
