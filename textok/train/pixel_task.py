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
from textok.nn.codebook import Codebook, RevivingCodebook
from textok.runtime.blocks import compile_network
from textok.runtime.device import autocast
from textok.train.adversary import Adversary
from textok.train.chance import Chance
from textok.train.codes import CodesSeen
from textok.train.ema import Ema
from textok.train.guard import Guard
from textok.train.micro import Logs, Stateful, Terms, add_terms, empty_logs, global_rows, synced
from textok.train.optim import Optimizer
from textok.train.preview import preview_sheet
from textok.train.validation import Validation
from textok.types import Batch, Reconstruction


class PixelConfig(Protocol):
    """The settings that every such training has."""

    @property
    def loss(self) -> LossConfig: ...

    @property
    def optim(self) -> OptimConfig: ...

    @property
    def run(self) -> RunConfig: ...


Network = TypeVar("Network", bound=nn.Module)


def shifted(images_B3HW: Tensor, step: int, phases: int) -> Tensor:
    """The images rolled by the shift of ``step``: every one of phases x phases in as many steps."""
    down, across = divmod(step % phases**2, phases)
    return images_B3HW.roll((down, across), dims=(2, 3)) if down or across else images_B3HW


class PixelTask(ABC, Generic[Network]):
    """A network against pixels, perceptual networks and, from a set step, a discriminator."""

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
        logits: nn.Module | None = None,
        validation: Validation | None = None,
    ) -> None:
        self.settings, self.preview, self.accelerator = config, preview, accelerator
        self.validation = validation
        self.network = network.to(accelerator.device)
        self.ema = Ema(self.network, config.run.ema)
        self.optimizer = Optimizer(
            self.network, config.optim, lr=config.optim.lr, first=0, steps=config.run.steps
        )
        self.perceptual = None if perceptual is None else perceptual.to(accelerator.device)
        self.logits = None if logits is None else logits.to(accelerator.device)
        self.adversary = None
        if discriminator is not None:
            self.adversary = Adversary(
                config.loss.gan,
                config.optim,
                config.run,
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
    def reconstructions(self, batch: Batch) -> dict[str, Tensor]:
        """Images (B, 3, H, W), not clamped, of ``batch`` by the averaged network.

        One entry for each way there is, by its name; the first is how the network is to be used.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the averaged network, in the first process."""

    @property
    @abstractmethod
    def last_layer(self) -> Tensor:
        """The weights that make the pixels, of the network in training."""

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
            if self.logits is not None and step >= weights.perceptual_start:
                terms["logits"] = self.logits(out.images, real)
                loss = loss + weights.logits * terms["logits"]
        if out.codebook is not None and out.commitment is not None:
            terms |= {"codebook": out.codebook, "commitment": out.commitment}
            loss = loss + weights.codebook * out.codebook + weights.commitment * out.commitment
        return {"loss": loss, **terms}

    def step(self, micro_batches: Sequence[Batch], step: int) -> dict[str, Tensor]:
        """One step of both optimisers, or of neither, along the mean gradient over the G images.

        The discriminator learns from the reconstructions that the network has just been trained
        on. Raises ValueError after ``run.max_bad_steps`` non-finite steps in a row.
        """
        adversary = self.adversary
        if adversary is not None and not adversary.trains(step):
            adversary = None
        chance = self.draw(step)
        count = len(micro_batches)
        logs, seen = empty_logs(self.accelerator), CodesSeen()

        pairs: list[tuple[Tensor, Tensor]] = []
        for index, batch in enumerate(micro_batches):
            rows = global_rows(self.settings.run, self.accelerator, index, count)
            with synced(self.accelerator, self.parallel, index == count - 1):
                batch = batch.to(self.accelerator.device)
                terms, out = self._reconstruct(batch, chance.rows(rows), adversary, step)
                self.accelerator.backward(terms["loss"] / count)
            if adversary is not None and out.images is not None:
                pairs.append((batch.images, out.images.detach()))
            seen.add(out)
            add_terms(logs, terms, 1 / count)
        if adversary is not None:
            adversary.learn(pairs, logs, step)

        self._apply(logs, adversary, seen.gathered(self.accelerator), step)
        return dict(logs)

    def _reconstruct(
        self, batch: Batch, chance: Chance, adversary: Adversary | None, step: int
    ) -> tuple[Terms, Reconstruction]:
        """The network's losses on B images, and what it made of them."""
        with autocast(self.accelerator.device, self.settings.run.precision):
            out = self.forward(batch, chance)
        terms = self.losses(out, batch.images, step)
        if adversary is not None and out.images is not None:
            adversary.add_to(terms, out.images, self.last_layer, step)
        return terms, out

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
                adversary.settle(logs, step)
            logs["lr"] = torch.as_tensor(rates[0])
        for optimizer in optimizers:
            optimizer.zero_grad()
        logs.update(seen.logs(self.codebook))
        logs["grad_norm"] = norms[0]
        logs["skipped"] = torch.as_tensor(float(self.guard.skipped))

    def sheet(self) -> Image.Image:
        """The preview pictures by the averaged network."""
        ways = self.reconstructions(self.preview.to(self.accelerator.device))
        return preview_sheet(self.preview, ways)

    def measure(self) -> dict[str, float]:
        """How well the averaged network reconstructs the validation pictures, if there are any."""
        return {} if self.validation is None else self.validation.measure(self.reconstructions)

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
        return parts if self.adversary is None else parts | self.adversary.parts()
