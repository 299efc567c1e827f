"""One training step of an autoencoder of images, from micro-batches to new weights.

Legend: B micro-batch, G = B x accumulation x processes, the images of one optimiser step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn

from textok.config import LossConfig, OptimConfig, RunConfig
from textok.losses.adversarial import discriminator_loss, generator_loss
from textok.nn.codebook import Codebook, RevivingCodebook
from textok.runtime.blocks import compile_network
from textok.runtime.device import autocast
from textok.train.adversary import Adversary
from textok.train.chance import Chance
from textok.train.codes import CodesSeen
from textok.train.ema import Ema
from textok.train.guard import Guard
from textok.train.micro import Logs, Stateful, add_terms, empty_logs, global_rows, synced
from textok.train.optim import Optimizer
from textok.types import Batch, Reconstruction


class PixelConfig(Protocol):
    """The settings that every such training has."""

    @property
    def loss(self) -> LossConfig: ...

    @property
    def optim(self) -> OptimConfig: ...

    @property
    def run(self) -> RunConfig: ...


Terms = dict[str, Tensor]
"""Scalars of a micro-batch, ``loss`` among them."""

Network = TypeVar("Network", bound=nn.Module)


def shifted(images_B3HW: Tensor, step: int, phases: int) -> Tensor:
    """The images rolled by the shift of ``step``: every one of phases x phases in as many steps."""
    down, across = divmod(step % phases**2, phases)
    return images_B3HW.roll((down, across), dims=(2, 3)) if down or across else images_B3HW


class PixelTask(ABC, Generic[Network]):
    """A network against pixels, a perceptual network and, from a set step, a discriminator."""

    name: str
    """Of the network's weights in a checkpoint."""

    def __init__(
        self,
        config: PixelConfig,
        *,
        network: Network,
        perceptual: nn.Module | None,
        discriminator: nn.Module | None,
        preview: Batch,
        accelerator: Accelerator,
    ) -> None:
        self.settings, self.preview, self.accelerator = config, preview, accelerator
        self.network = network.to(accelerator.device)
        self.ema = Ema(self.network, config.run.ema)
        self.optimizer = Optimizer(
            self.network, config.optim, lr=config.optim.lr, first=0, steps=config.run.steps
        )
        self.perceptual = None if perceptual is None else perceptual.to(accelerator.device)
        self.adversary = None
        if discriminator is not None:
            self.adversary = Adversary(
                config.loss.gan,
                config.optim,
                steps=config.run.steps,
                discriminator=discriminator,
                accelerator=accelerator,
            )
        self.guard = Guard(accelerator, limit=config.run.max_bad_steps)
        if config.run.compile:
            compile_network(self.network)
        self.parallel = accelerator.prepare_model(self.network)

    @abstractmethod
    def draw(self, step: int) -> Chance:
        """What chance decides in ``step``, for all G images."""

    @abstractmethod
    def forward(self, batch: Batch, chance: Chance) -> Reconstruction:
        """One pass of ``parallel`` over B images."""

    @abstractmethod
    def sheet(self) -> Image.Image:
        """The preview pictures by the averaged network."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the averaged network, in the first process."""

    @property
    @abstractmethod
    def codebook(self) -> Codebook | None:
        """Of the network in training, where it has one."""

    def losses(self, out: Reconstruction, real: Tensor, step: int) -> Terms:
        """Terms of the loss of one pass, and the loss that they add up to."""
        weights = self.settings.loss
        terms: Terms = {}
        loss = real.new_zeros(())
        if out.images is not None:
            error = out.images - real
            terms = {"l2": error.square().mean(), "l1": error.abs().mean()}
            loss = weights.l1 * terms["l1"]
            if out.velocity_error is None:
                loss = loss + weights.l2 * terms["l2"]
            else:
                terms["velocity"] = out.velocity_error.mean()
                loss = loss + weights.l2 * terms["velocity"]
            if self.perceptual is not None and step >= weights.perceptual_start:
                images = (shifted(x, step, weights.perceptual_phases) for x in (out.images, real))
                terms["perceptual"] = self.perceptual(*images)
                loss = loss + weights.perceptual * terms["perceptual"]
        if out.codebook is not None and out.commitment is not None:
            terms |= {"codebook": out.codebook, "commitment": out.commitment}
            loss = loss + weights.codebook * out.codebook + weights.commitment * out.commitment
        return {"loss": loss, **terms}

    def step(self, micro_batches: Sequence[Batch], step: int) -> dict[str, Tensor]:
        """One step of both optimisers, or of neither, along the mean gradient over the G images.

        The discriminator learns from the reconstructions that the network has just been trained
        on. Raises ValueError after ``run.max_bad_steps`` non-finite steps in a row.
        """
        gan, run = self.settings.loss.gan, self.settings.run
        adversary = self.adversary if step >= gan.start else None
        chance = self.draw(step)
        count = len(micro_batches)
        logs, seen = empty_logs(self.accelerator), CodesSeen()

        pairs: list[tuple[Tensor, Tensor]] = []
        for index, batch in enumerate(micro_batches):
            rows = chance.rows(global_rows(run, self.accelerator, index, count))
            with synced(self.accelerator, self.parallel, index == count - 1):
                batch = batch.to(self.accelerator.device)
                terms, out = self._reconstruct(batch, rows, adversary, step)
                self.accelerator.backward(terms["loss"] / count)
            if adversary is not None and out.images is not None:
                pairs.append((batch.images, out.images.detach()))
            seen.add(out)
            add_terms(logs, terms, 1 / count)
        if adversary is not None:
            for index, (real, fake) in enumerate(pairs):
                with synced(self.accelerator, adversary.parallel, index == count - 1):
                    terms = self._discriminate(adversary, real, fake)
                    self.accelerator.backward(terms["loss_discriminator"] / count)
                add_terms(logs, terms, 1 / count)

        self._apply(logs, adversary, seen.gathered(self.accelerator), step)
        return dict(logs)

    def _reconstruct(
        self, batch: Batch, chance: Chance, adversary: Adversary | None, step: int
    ) -> tuple[Terms, Reconstruction]:
        """The network's losses on B images, and what it made of them."""
        run, gan = self.settings.run, self.settings.loss.gan
        with autocast(self.accelerator.device, run.precision):
            out = self.forward(batch, chance)
        terms = self.losses(out, batch.images, step)
        if adversary is not None and out.images is not None:
            with autocast(self.accelerator.device, run.precision):
                logits = adversary.judge_as_constant(out.images)
            terms["gan"] = generator_loss(logits, kind=gan.loss)
            terms["loss"] = terms["loss"] + gan.weight * terms["gan"]
        return terms, out

    def _discriminate(self, adversary: Adversary, real: Tensor, fake: Tensor) -> Terms:
        """The discriminator's losses on B images and their reconstructions."""
        gan = self.settings.loss.gan
        with autocast(self.accelerator.device, self.settings.run.precision):
            logits = adversary.parallel(torch.cat([real, fake]))
        on_real, on_fake = logits.float().chunk(2)
        loss = discriminator_loss(on_real, on_fake, kind=gan.loss)
        lecam = adversary.lecam(on_real, on_fake)
        return {
            "loss_discriminator": loss + gan.lecam * lecam,
            "lecam": lecam,
            "logits_real": on_real.mean(),
            "logits_fake": on_fake.mean(),
        }

    def _apply(self, logs: Logs, adversary: Adversary | None, seen: CodesSeen, step: int) -> None:
        """Move the weights along the gradients, if everything is finite in every process."""
        optimizers = [self.optimizer] + ([] if adversary is None else [adversary.optimizer])
        norms = [optimizer.clip() for optimizer in optimizers]
        losses = [value for name, value in logs.items() if name.startswith("loss")]
        if self.guard.passes(step, losses + norms):
            rates = [optimizer.step(step) for optimizer in optimizers]
            if isinstance(self.codebook, RevivingCodebook) and self.codebook.vectors.requires_grad:
                self.codebook.revive(seen.continuous[0], seen.codes[0])
            self.ema.update(self.network)
            if adversary is not None:
                means = torch.stack([logs["logits_real"], logs["logits_fake"]])
                adversary.lecam.update(*self.accelerator.reduce(means, reduction="mean"))
            logs["lr"] = torch.as_tensor(rates[0])
        for optimizer in optimizers:
            optimizer.zero_grad()
        logs.update(seen.logs(self.codebook))
        logs["grad_norm"] = norms[0]
        logs["skipped"] = torch.as_tensor(float(self.guard.skipped))

    def measure(self) -> dict[str, float]:
        """Nothing beside the losses: `textok evaluate` measures."""
        return {}

    @property
    def averaged(self) -> Network:
        """The network with averaged weights: the one to keep."""
        return self.ema.module

    def state_dict(self) -> dict[str, Any]:
        """Weights, averages, optimisers, regulariser and counters."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful] = {
            self.name: self.network,
            "ema": self.ema,
            "optimizer": self.optimizer,
            "guard": self.guard,
        }
        if self.adversary is not None:
            parts["discriminator"] = self.adversary.module
            parts["discriminator_optimizer"] = self.adversary.optimizer
            parts["lecam"] = self.adversary.lecam
        return parts
