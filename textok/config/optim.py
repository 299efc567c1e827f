"""The optimiser of a training and its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textok.config.check import require, require_range


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """One optimiser and its schedule: linear warm-up, then cosine to ``final_lr_share``."""

    name: Literal["adamw", "muon"] = "adamw"
    """``muon``: matrices of the blocks by Muon (torch >= 2.9), everything else by AdamW."""
    lr: float = 1e-4
    """Peak rate of AdamW."""
    muon_lr: float = 3e-3
    """Peak rate of Muon's share."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Of AdamW, each in [0, 1)."""
    weight_decay: float = 1e-4
    """Not applied to biases, norms and embeddings."""
    warmup: int = 5_000
    """Steps of the linear rise to the peak."""
    final_lr_share: float = 0.1
    """Of the peak, at the last step."""
    clip: float = 1.0
    """Gradient norm limit; 0 does not clip."""

    def __post_init__(self) -> None:
        require_range("optim.lr", self.lr, 0, open_low=True)
        require_range("optim.muon_lr", self.muon_lr, 0, open_low=True)
        for beta in self.betas:
            require(0 <= beta < 1, f"optim.betas {self.betas}: each must be in [0, 1)")
        for name in ("weight_decay", "warmup", "clip"):
            require_range(f"optim.{name}", getattr(self, name), 0)
        require_range("optim.final_lr_share", self.final_lr_share, 0, 1)
