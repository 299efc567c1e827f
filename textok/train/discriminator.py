"""A discriminator in training: its weights, its optimiser and what its regularisers remember."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from textok.config import GanConfig, OptimConfig
from textok.losses.adversarial import LeCAM
from textok.runtime.checkpoint import Stateful
from textok.train.distributed import Distributed
from textok.train.optim import Optimizer


class LatestPenalty(nn.Module):
    """The R1 penalty where it was last computed, for the log of the steps between."""

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(()))


class Discriminator:
    """Trained from step ``gan.first_step``; from ``gan.start`` the network's loss includes it."""

    def __init__(
        self,
        module: nn.Module,
        gan: GanConfig,
        optim: OptimConfig,
        *,
        steps: int,
        distributed: Distributed,
    ) -> None:
        self.gan = gan
        self.module = module.to(distributed.device)
        self.parallel = distributed.parallel(self.module)
        self.lecam = LeCAM().to(distributed.device)
        self.penalty = LatestPenalty().to(distributed.device)
        self.optimizer = Optimizer(
            self.module,
            discriminator_optim(gan, optim),
            lr=gan.lr,
            first=gan.first_step,
            steps=steps,
        )

    def compile(self) -> None:
        """Compile the network, unless the adaptive weight asks for its gradient twice in a step."""
        if not self.gan.adaptive:
            self.module.compile()

    def penalised(self, step: int) -> bool:
        """Whether the R1 penalty is computed in ``step``, which is one of its own."""
        return self.gan.r1 > 0 and (step - self.gan.first_step) % self.gan.r1_every == 0

    def parts(self) -> dict[str, Stateful]:
        """What goes into a checkpoint."""
        parts: dict[str, Stateful] = {
            "discriminator": self.module,
            "discriminator_optimizer": self.optimizer,
        }
        return parts | self.remembered()

    def remembered(self) -> dict[str, nn.Module]:
        """What its regularisers go on from, by name in a checkpoint."""
        return {"lecam": self.lecam} | ({"r1": self.penalty} if self.gan.r1 else {})


def discriminator_optim(gan: GanConfig, optim: OptimConfig) -> OptimConfig:
    """The discriminator's optimiser settings: the network's, except what ``gan`` sets."""
    betas = optim.betas if gan.betas is None else gan.betas
    decay = optim.weight_decay if gan.weight_decay is None else gan.weight_decay
    return replace(optim, betas=betas, weight_decay=decay)
