"""The adversarial part of a training step, whole: what the network hears, what the discriminator
learns.

Legend: B micro-batch, G = B x accumulation x processes, the images of one optimiser step.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.func import functional_call

from textok.config import GanConfig, OptimConfig, RunConfig
from textok.losses.adversarial import (
    LeCAM,
    adaptive_weight,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from textok.runtime.device import autocast
from textok.train.micro import Logs, Stateful, Terms, add_terms, synced
from textok.train.optim import Optimizer


class LatestPenalty(nn.Module):
    """The R1 penalty where it was last computed, for the steps between."""

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(()))


class Adversary:
    """A discriminator with its regularisers and an optimiser of its own.

    From ``gan.first_step`` on it trains, from ``gan.start`` on the network hears it.
    """

    def __init__(
        self,
        gan: GanConfig,
        optim: OptimConfig,
        run: RunConfig,
        *,
        discriminator: nn.Module,
        accelerator: Accelerator,
    ) -> None:
        self._gan, self._run, self._accelerator = gan, run, accelerator
        self.module = discriminator.to(accelerator.device)
        self.parallel = accelerator.prepare_model(self.module)
        self.lecam = LeCAM().to(accelerator.device)
        self.penalty = LatestPenalty().to(accelerator.device)
        self.optimizer = Optimizer(
            self.module,
            own_optim(gan, optim),
            lr=gan.lr,
            first=gan.first_step,
            steps=run.steps,
        )

    def trains(self, step: int) -> bool:
        return step >= self._gan.first_step

    def add_to(self, terms: Terms, images: Tensor, last_layer: Tensor, step: int) -> None:
        """Add what the discriminator says of reconstructed ``images`` to the network's ``loss``.

        ``last_layer`` are the weights that made the images. Before ``gan.start`` nothing is added.
        """
        if step < self._gan.start:
            return
        with self._autocast():
            logits = self.judge_as_constant(images)
        terms["gan"], weight = generator_loss(logits, kind=self._gan.loss), self._gan.weight
        if self._gan.adaptive:
            terms["gan_weight"] = weight * adaptive_weight(terms["loss"], terms["gan"], last_layer)
            terms["loss"] = terms["loss"] + terms["gan_weight"] * terms["gan"]
        else:
            terms["loss"] = terms["loss"] + weight * terms["gan"]

    def judge_as_constant(self, images: Tensor) -> Tensor:
        """Logits whose gradient goes to ``images`` but not to the discriminator."""
        constants = {name: p.detach() for name, p in self.module.named_parameters()}
        logits: Tensor = functional_call(self.module, constants, (images,))
        return logits

    def learn(self, pairs: Sequence[tuple[Tensor, Tensor]], logs: Logs, step: int) -> None:
        """Gradients of the discriminator's loss, the mean over G images and their reconstructions.

        ``pairs`` are this process's micro-batches (real, fake), (B, 3, H, W) each. Adds the terms
        to ``logs``.
        """
        for index, (real, fake) in enumerate(pairs):
            with synced(self._accelerator, self.parallel, index == len(pairs) - 1):
                terms = self._discriminate(real, fake, step)
                self._accelerator.backward(terms["loss_discriminator"] / len(pairs))
            add_terms(logs, terms, 1 / len(pairs))
        if self._gan.r1 and not self._penalises(step):
            logs["r1"] = self.penalty.value.clone()

    def settle(self, logs: Logs, step: int) -> None:
        """Take over into the regularisers' memories what a step that counts has measured."""
        means = torch.stack([logs["logits_real"], logs["logits_fake"]])
        self.lecam.update(*self._accelerator.reduce(means, reduction="mean"))
        if self._gan.r1 and self._penalises(step):
            self.penalty.value.copy_(self._accelerator.reduce(logs["r1"], reduction="mean"))

    def parts(self) -> dict[str, Stateful]:
        """What goes into a checkpoint."""
        parts: dict[str, Stateful] = {
            "discriminator": self.module,
            "discriminator_optimizer": self.optimizer,
            "lecam": self.lecam,
        }
        return parts | ({"r1": self.penalty} if self._gan.r1 else {})

    def _discriminate(self, real: Tensor, fake: Tensor, step: int) -> Terms:
        """The discriminator's losses on B images and their reconstructions."""
        gan = self._gan
        with self._autocast():
            logits = self.parallel(torch.cat([real, fake]))
        on_real, on_fake = logits.float().chunk(2)
        lecam = self.lecam(on_real, on_fake)
        loss = discriminator_loss(on_real, on_fake, kind=gan.loss) + gan.lecam * lecam
        terms = {
            "loss_discriminator": loss,
            "lecam": lecam,
            "logits_real": on_real.mean(),
            "logits_fake": on_fake.mean(),
        }
        if gan.r1 and self._penalises(step):
            # Not through `parallel`: a second pass of it in one backward pass is not allowed. The
            # gradients are averaged over the processes with those of the first.
            terms["r1"] = gradient_penalty(self.module, real)
            terms["loss_discriminator"] = loss + gan.r1 / 2 * gan.r1_every * terms["r1"]
        return terms

    def _penalises(self, step: int) -> bool:
        return (step - self._gan.first_step) % self._gan.r1_every == 0

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self._accelerator.device, self._run.precision)


def own_optim(gan: GanConfig, optim: OptimConfig) -> OptimConfig:
    """The settings of the discriminator's optimiser: the network's, but for what ``gan`` sets."""
    betas = optim.betas if gan.betas is None else gan.betas
    decay = optim.weight_decay if gan.weight_decay is None else gan.weight_decay
    return replace(optim, betas=betas, weight_decay=decay)
