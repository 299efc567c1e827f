"""One whole training step, including the GAN, in the order in which it happens.

Legend: B micro-batch, G = B x accumulation x processes, the global batch of one optimiser step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from textok.losses import adversarial
from textok.losses.frechet import FrechetLoss
from textok.runtime.device import Precision, autocast
from textok.train.codebook_use import CodebookUse
from textok.train.discriminator import Discriminator
from textok.train.distributed import Distributed
from textok.train.ema import Ema
from textok.train.guard import Guard
from textok.train.objective import Outcome, Terms, TrainingObjective
from textok.train.optim import Optimizer
from textok.train.projection import Projection
from textok.train.randomness import StepRandomness


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """Trains a network by its objective and, where there is one, against a discriminator."""

    objective: TrainingObjective[Any]
    network: nn.Module
    parallel: nn.Module
    """The network as it is run, with gradients that are averaged over the processes."""
    optimizer: Optimizer
    ema: Ema[Any]
    guard: Guard
    discriminator: Discriminator | None
    projection: Projection | None
    """Trained by the network's loss, where hidden states are aligned."""
    frechet: FrechetLoss | None
    """Part of the network's loss, whose populations take up the images of each step."""
    distributed: Distributed
    precision: Precision
    batch_size: int
    """G."""
    decides_late: bool
    """Whether the guard's answer is read when the next step is queued, or waited for."""

    def __call__(self, micro_batches: Sequence[Any], step: int) -> dict[str, Tensor]:
        """One step of both optimisers, or of neither, along the mean gradient over G rows.

        The discriminator is trained on the reconstructions that the network was just trained on.
        While the populations of a Frechet loss are not filled a step does that alone. Returns
        scalars to log. Raises ValueError after too many non-finite steps in a row.
        """
        randomness, count = self.objective.sample(step), len(micro_batches)
        discriminator = self.discriminator
        trains = self.frechet is None or self.frechet.filled
        if discriminator is not None and (step < discriminator.gan.first_step or not trains):
            discriminator = None
        logs: Terms = defaultdict(lambda: torch.zeros((), device=self.distributed.device))
        outcomes: list[Outcome] = []
        for index, batch in enumerate(micro_batches):
            rows = self.distributed.global_rows(self.batch_size, index=index, count=count)
            with self._gradient_sync(on=trains and index == count - 1):
                outcome = self._network_losses(batch, randomness.rows(rows), discriminator, step)
                if trains:
                    self.distributed.backward(outcome.terms["loss"] / count)
            add_means(logs, outcome.terms, count)
            outcomes.append(outcome.kept(images=discriminator is not None))
        # The discriminator's losses need what the step before may have left undecided.
        self.guard.settle()
        if discriminator is not None:
            self._backward_discriminator(discriminator, outcomes, logs, step)
        if trains:
            self._update(discriminator, outcomes, logs, step)
        elif self.guard.passes(step, self.guard.bad([logs["loss"]])):
            self._fill(outcomes, logs)
        return dict(logs)

    @contextmanager
    def _gradient_sync(self, *, on: bool) -> Iterator[None]:
        """That of the network and the projection, which one backward pass reaches."""
        modules = [self.parallel, *([] if self.projection is None else [self.projection.parallel])]
        with ExitStack() as stack:
            for module in modules:
                stack.enter_context(self.distributed.gradient_sync(module, on=on))
            yield

    def _network_losses(
        self, batch: Any, randomness: StepRandomness, discriminator: Discriminator | None, step: int
    ) -> Outcome:
        """Losses of the network on B rows: its objective's and, from ``gan.start``, the GAN's."""
        device = self.distributed.device

        def network(*args: Any, **options: Any) -> Any:
            with autocast(device, self.precision):
                return self.parallel(*args, **options)

        outcome = self.objective.evaluate(network, batch.to(device), randomness.to(device), step)
        terms = outcome.terms
        if discriminator is None or step < discriminator.gan.start or outcome.images is None:
            return outcome
        with autocast(device, self.precision):
            logits = adversarial.frozen_logits(discriminator.module, outcome.images.fake)
        terms["gan"] = adversarial.generator_loss(logits, kind=discriminator.gan.loss)
        weight: float | Tensor = discriminator.gan.weight
        if discriminator.gan.adaptive:
            weight = weight * adversarial.adaptive_weight(
                terms["loss"], terms["gan"], outcome.images.last_layer
            )
            terms["gan_weight"] = weight
        terms["loss"] = terms["loss"] + weight * terms["gan"]
        return outcome

    def _backward_discriminator(
        self, discriminator: Discriminator, outcomes: list[Outcome], logs: Terms, step: int
    ) -> None:
        """Gradients of the discriminator's loss, the mean over G images and reconstructions."""
        pairs = [outcome.images for outcome in outcomes if outcome.images is not None]
        for index, images in enumerate(pairs):
            with self.distributed.gradient_sync(discriminator.parallel, on=index == len(pairs) - 1):
                terms = self._discriminator_losses(discriminator, images.real, images.fake, step)
                self.distributed.backward(terms["loss_discriminator"] / len(pairs))
            add_means(logs, terms, len(pairs))
        if discriminator.gan.r1 and not discriminator.penalised(step):
            logs["r1"] = discriminator.penalty.value.clone()

    def _discriminator_losses(
        self, discriminator: Discriminator, real: Tensor, fake: Tensor, step: int
    ) -> Terms:
        """The discriminator's loss on B images and their reconstructions, with LeCAM and R1."""
        gan = discriminator.gan
        with autocast(self.distributed.device, self.precision):
            logits = discriminator.parallel(torch.cat([real, fake]))
        on_real, on_fake = logits.float().chunk(2)
        lecam = discriminator.lecam(on_real, on_fake)
        loss = adversarial.discriminator_loss(on_real, on_fake, kind=gan.loss) + gan.lecam * lecam
        means = {"logits_real": on_real.mean(), "logits_fake": on_fake.mean()}
        terms = {"loss_discriminator": loss, "lecam": lecam, **means}
        if discriminator.penalised(step):
            # Not through `parallel`: a second pass of it in one backward pass is not allowed. The
            # gradients are averaged over the processes with those of the first. Nor compiled: such
            # code has no second derivative.
            terms["r1"] = adversarial.gradient_penalty(discriminator.module.forward, real)
            terms["loss_discriminator"] = loss + gan.r1 / 2 * gan.r1_every * terms["r1"]
        return terms

    def _update(
        self, discriminator: Discriminator | None, outcomes: list[Outcome], logs: Terms, step: int
    ) -> None:
        """Update weights, averages and regularisers if all numbers are finite on all processes."""
        codebook = CodebookUse.of(outcomes, self.distributed)
        trained = [one for one in (self.projection, discriminator) if one is not None]
        optimizers = [self.optimizer, *(one.optimizer for one in trained)]
        norms = [optimizer.clip() for optimizer in optimizers]
        losses = [value for name, value in logs.items() if name.startswith("loss")]
        bad = self.guard.bad(losses + norms)
        skipped, rates = self.guard.skipped + bad, list[float]()
        if self.decides_late:
            rates = [optimizer.step(step, unless=bad) for optimizer in optimizers]
            self.guard.decide_later(step, bad, partial(self._follow, discriminator, logs, step))
        elif self.guard.passes(step, bad):
            rates = [optimizer.step(step) for optimizer in optimizers]
            codebook.revive()
            self._fill(outcomes, logs)
            self._follow(discriminator, logs, step)
        if rates:
            logs["lr"] = torch.as_tensor(rates[0])
        for optimizer in optimizers:
            optimizer.zero_grad()
        logs |= codebook.logs()
        logs |= {"grad_norm": norms[0], "skipped": skipped}

    def _follow(self, discriminator: Discriminator | None, logs: Terms, step: int) -> None:
        """What follows from a good step, once the optimisers have taken it."""
        self.ema.update(self.network)
        if discriminator is not None:
            means = torch.stack([logs["logits_real"], logs["logits_fake"]])
            discriminator.lecam.update(*self.distributed.mean(means))
            if discriminator.penalised(step):
                discriminator.penalty.value.copy_(self.distributed.mean(logs["r1"]))

    def _fill(self, outcomes: list[Outcome], logs: Terms) -> None:
        """Add the images of all processes to the populations of the Frechet loss, if there is one.

        The same on each process.
        """
        found = [outcome.features for outcome in outcomes if outcome.features is not None]
        if self.frechet is None or not found:
            return
        whole = {name: torch.cat([one[name] for one in found]) for name in found[0]}
        self.frechet.update({name: self.distributed.gather(own) for name, own in whole.items()})
        logs |= self.frechet.distances()


def add_means(logs: Terms, terms: Terms, count: int) -> None:
    """Add the part of one of ``count`` micro-batches to the means over all, without gradients."""
    for name, value in terms.items():
        logs[name] = logs[name] + 1 / count * value.detach()
