"""Dropout of what is being trained, and of nothing else."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """Dropout where gradients are recorded: a target that training computes by itself has none."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training and torch.is_grad_enabled())
