"""Muon for many small matrices: those of one shape are orthogonalised together.

torch's goes through them one by one, some twenty small kernels each: a small network on a GPU is
launch-bound.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from textok.runtime.device import has_bf16


class BatchedMuon(torch.optim.Muon):
    """``torch.optim.Muon`` with ``adjust_lr_fn="original"``, same settings, state and rule.

    The products are batched, so results differ from torch's in bfloat16 rounding alone. Where
    ``found_inf`` is 1 nothing is moved, as by torch's fused AdamW.
    """

    found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move each matrix against its orthogonalised momentum (Jordan et al. 2024)."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape].append(matrix)
            for shape, matrices in by_shape.items():
                rate = group["lr"] * max(1, shape[0] / shape[1]) ** 0.5
                bad = self.found_inf
                kept: float | Tensor = 1 - group["lr"] * group["weight_decay"]
                if bad is not None:
                    kept = torch.where(bad > 0, 1.0, kept)
                torch._foreach_mul_(matrices, kept)
                moves = _orthogonal(self._momenta(matrices, group["momentum"]), group)
                if bad is not None:
                    moves = moves.masked_fill(bad > 0, 0)
                torch._foreach_add_(matrices, list(moves.to(matrices[0].dtype)), alpha=-rate)

    def _momenta(self, matrices: list[Tensor], momentum: float) -> Tensor:
        """Nesterov's, of all matrices: (N, rows, columns)."""
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        buffers = []
        for matrix in matrices:
            state = self.state[matrix]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(matrix)
            buffers.append(state["momentum_buffer"])
        if self.found_inf is not None:
            pairs = zip(buffers, gradients, strict=True)
            gradients = [torch.where(self.found_inf > 0, old, new) for old, new in pairs]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        return torch.stack(torch._foreach_lerp(gradients, buffers, momentum))


def _orthogonal(given_NRC: Tensor, group: dict[str, Any]) -> Tensor:
    """Nearly the nearest orthogonal matrices, by Newton-Schulz steps in bfloat16.

    In float32 where bfloat16 is slower.
    """
    a, b, c = group["ns_coefficients"]
    tall = given_NRC.shape[1] > given_NRC.shape[2]
    x = given_NRC.bfloat16() if has_bf16(given_NRC.device) else given_NRC.float()
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
