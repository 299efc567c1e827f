"""Adversarial losses on logits of any shape, their weight, LeCAM and R1. All in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

GanLoss = Literal["hinge", "non_saturating"]
DELTA, MOST = 1e-4, 1e4
"""Added below, and the limit, of VQGAN's adaptive weight, as in its code."""


def generator_loss(fake_logits: Tensor, *, kind: GanLoss) -> Tensor:
    """Return the generator's loss, a scalar.

    hinge: -E[D(fake)] (Geometric GAN, arXiv 1705.02894); non_saturating: E[softplus(-D(fake))],
    which is -E[log sigmoid(D(fake))] (GAN, arXiv 1406.2661, section 3).
    """
    fake = fake_logits.float()
    return -fake.mean() if kind == "hinge" else F.softplus(-fake).mean()


def frozen_logits(discriminator: nn.Module, images_B3HW: Tensor) -> Tensor:
    """Logits whose gradient goes to the images but not to the discriminator."""
    frozen = {name: weights.detach() for name, weights in discriminator.named_parameters()}
    logits: Tensor = functional_call(discriminator, frozen, (images_B3HW,))
    return logits


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, *, kind: GanLoss) -> Tensor:
    """Return the discriminator's loss, a scalar.

    hinge: (E[relu(1 - D(real))] + E[relu(1 + D(fake))]) / 2, halved as TiTok and VQGAN do;
    non_saturating: E[softplus(-D(real))] + E[softplus(D(fake))].
    """
    real, fake = real_logits.float(), fake_logits.float()
    if kind == "hinge":
        return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def adaptive_weight(loss: Tensor, gan: Tensor, last_layer: Tensor) -> Tensor:
    """Return |d loss / d last_layer| / (|d gan / d last_layer| + 1e-4), at most 1e4, a scalar.

    The weight of the adversarial loss in VQGAN (arXiv 2012.09841, eq. 7), a constant to the
    backward pass. ``loss`` is everything else; whatever in it does not depend on ``last_layer``
    is left out. A ratio of norms: that of a whole batch is not the mean of those of its parts.
    """
    of_loss, of_gan = (
        torch.autograd.grad(
            term, last_layer, retain_graph=True, allow_unused=True, materialize_grads=True
        )[0].norm()
        for term in (loss, gan)
    )
    return (of_loss / (of_gan + DELTA)).clamp(max=MOST).detach()


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], images_B3HW: Tensor) -> Tensor:
    """Return E[|d D(x) / d x|^2] over real images, a scalar with a gradient to the discriminator.

    R1 is half of it times a weight (arXiv 1801.04406, eq. 9). D of an image is the sum of its
    logits, where there are several. Without autocast: a second derivative does not survive bf16.
    """
    with torch.autocast(images_B3HW.device.type, enabled=False):
        images = images_B3HW.detach().float().requires_grad_()
        logits = discriminator(images)
        (slope_B3HW,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return slope_B3HW.square().sum(dim=(1, 2, 3)).mean()


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
