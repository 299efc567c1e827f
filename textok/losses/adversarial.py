"""Adversarial losses on logits of any shape, and the LeCAM regulariser. All in float32."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GanLoss = Literal["hinge", "non_saturating"]


def generator_loss(fake_logits: Tensor, *, kind: GanLoss) -> Tensor:
    """Return the generator's loss, a scalar.

    hinge: -E[D(fake)] (Geometric GAN, arXiv 1705.02894); non_saturating: E[softplus(-D(fake))],
    which is -E[log sigmoid(D(fake))] (GAN, arXiv 1406.2661, section 3).
    """
    fake = fake_logits.float()
    return -fake.mean() if kind == "hinge" else F.softplus(-fake).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, *, kind: GanLoss) -> Tensor:
    """Return the discriminator's loss, a scalar.

    hinge: (E[relu(1 - D(real))] + E[relu(1 + D(fake))]) / 2, halved as TiTok and VQGAN do;
    non_saturating: E[softplus(-D(real))] + E[softplus(D(fake))].
    """
    real, fake = real_logits.float(), fake_logits.float()
    if kind == "hinge":
        return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2
    return F.softplus(-real).mean() + F.softplus(fake).mean()


class LeCAM(nn.Module):
    """LeCAM regulariser of a discriminator (arXiv 2104.03310, eq. 5).

    Holds moving averages of the mean real and fake logits; they are part of the state dict. A mean
    over logits, not a function of batch means: the gradients of micro-batches and processes add up
    to that of the whole batch.
    """

    ema_real: Tensor
    ema_fake: Tensor

    def __init__(self, *, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("ema_real", torch.zeros(()))
        self.register_buffer("ema_fake", torch.zeros(()))

    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return E[relu(D(real) - ema_fake)^2] + E[relu(ema_real - D(fake))^2], a scalar."""
        on_real = F.relu(real_logits.float() - self.ema_fake).square().mean()
        on_fake = F.relu(self.ema_real - fake_logits.float()).square().mean()
        return on_real + on_fake

    @torch.no_grad()
    def update(self, mean_real: Tensor, mean_fake: Tensor) -> None:
        """Move the averages towards the mean logits of a whole batch, once an optimiser step."""
        self.ema_real.lerp_(mean_real, 1 - self.decay)
        self.ema_fake.lerp_(mean_fake, 1 - self.decay)
