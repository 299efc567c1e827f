"""Optimisers and their schedule, which is a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from textok.config import OptimConfig
from textok.runtime.sharding import own_part, whole_tensor

ADAM, MUON = {"step", "exp_avg", "exp_avg_sq"}, {"momentum_buffer"}
"""What their states hold of one weight."""


def lr_factor(step: int, *, warmup: int, steps: int, final: float) -> float:
    """Factor on the peak rate at ``step``, from 0: linear warm-up, then a half cosine to ``final``.

    The first step has 1 / warmup of the peak; step ``steps`` would have ``final``.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


class Optimizer:
    """The torch optimisers of one module, stepped, clipped and scheduled as one.

    The schedule starts at step ``first`` of ``steps``.
    """

    def __init__(
        self, module: nn.Module, config: OptimConfig, *, lr: float, first: int, steps: int
    ) -> None:
        self._config, self._first, self._steps = config, first, steps
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        matrices = block_matrices(module) if config.name == "muon" else []
        self._optimizers = [adamw(module, config, lr=lr, without=matrices)]
        if matrices:
            self._optimizers.append(muon(matrices, config))
        self._peaks = [[group["lr"] for group in o.param_groups] for o in self._optimizers]

    def clip(self) -> Tensor:
        """Scale the gradients down to the norm limit; returns their norm before."""
        limit = self._config.clip or math.inf
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = whole_tensor(nn.utils.get_total_norm(gradients))
        nn.utils.clip_grads_with_norm_(self._parameters, limit, norm)
        return norm

    def step(self, step: int, *, unless: Tensor | None = None) -> float:
        """Update the weights at the rate of optimiser step ``step``; returns AdamW's rate.

        Nothing is moved where ``unless``, a scalar on the weights' device, is 1: the host does not
        need to know. Sharded weights cannot do this.
        """
        factor = lr_factor(
            step - self._first,
            warmup=self._config.warmup,
            steps=self._steps - self._first,
            final=self._config.final_lr_share,
        )
        for optimizer, peaks in zip(self._optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            # How torch's fused optimisers are told by a GradScaler.
            optimizer.found_inf = unless  # type: ignore[attr-defined]
            optimizer.step()
        return self._peaks[0][0] * factor

    def zero_grad(self) -> None:
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizers": [optimizer.state_dict() for optimizer in self._optimizers]}

    def load_moments(self, state: Any) -> bool:
        """Go on with the moments of another optimiser of the same weights, at the rates of this.

        Those of weights that are frozen here are left out. False, and nothing is changed, where
        ``state`` does not fit.
        """
        saved = state.get("optimizers") if isinstance(state, dict) else None
        if not isinstance(saved, list) or len(saved) != len(self._optimizers):
            return False
        pairs = list(zip(self._optimizers, saved, strict=True))
        if not all(_fit(optimizer, one) for optimizer, one in pairs):
            return False
        for optimizer, one in pairs:
            state = {
                place: {name: own_part(value, owner) for name, value in one["state"][place].items()}
                for place, owner in enumerate(_owners(optimizer))
                if owner.requires_grad and place in one["state"]
            }
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        return True

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            owners = _owners(optimizer)
            state = {
                place: {name: own_part(value, owners[place]) for name, value in values.items()}
                for place, values in saved["state"].items()
            }
            optimizer.load_state_dict({**saved, "state": state})


def _owners(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _fit(optimizer: torch.optim.Optimizer, saved: Any) -> bool:
    """Whether ``saved`` is the state of such an optimiser of weights of the same shapes."""
    values = saved.get("state") if isinstance(saved, dict) else None
    if not isinstance(values, dict):
        return False
    owners = dict(enumerate(_owners(optimizer)))
    names = ADAM if isinstance(optimizer, torch.optim.AdamW) else MUON
    return all(
        place in owners
        and isinstance(one, dict)
        and one.keys() == names
        and all(_is_moment(value, owners[place], name) for name, value in one.items())
        for place, one in values.items()
    )


def _is_moment(value: Any, owner: Tensor, name: str) -> bool:
    shape = torch.Size() if name == "step" else owner.shape
    return isinstance(value, Tensor) and value.shape == shape and bool(value.isfinite().all())


def adamw(
    module: nn.Module, config: OptimConfig, *, lr: float, without: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """AdamW over ``module``; weight decay on the weights of linear and convolution layers alone."""
    taken = set(without)
    decayed = {
        layer.weight
        for layer in module.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight not in taken
    }
    rest = [p for p in module.parameters() if p not in taken and p not in decayed]
    ordered = [p for p in module.parameters() if p in decayed]
    groups = [
        {"params": ordered, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=config.betas, fused=True)


def muon(matrices: list[nn.Parameter], config: OptimConfig) -> torch.optim.Optimizer:
    """Muon (Jordan et al. 2024) with the rate scaled by sqrt(max(1, rows / columns))."""
    if not hasattr(torch.optim, "Muon"):
        raise ValueError(
            f"optim.name is 'muon' but torch {torch.__version__} has no Muon: "
            f"install torch >= 2.9 or use 'adamw'"
        )
    from textok.train.muon import BatchedMuon

    sharded = any(isinstance(matrix, DTensor) for matrix in matrices)
    kind = torch.optim.Muon if sharded else BatchedMuon
    return kind(
        matrices, lr=config.muon_lr, weight_decay=config.weight_decay, adjust_lr_fn="original"
    )


def block_matrices(module: nn.Module) -> list[nn.Parameter]:
    """The 2-D weights inside the lists of transformer blocks (``blocks``) of ``module``."""
    named = module.named_parameters()
    return [p for name, p in named if p.ndim == 2 and "blocks" in name.split(".")]
