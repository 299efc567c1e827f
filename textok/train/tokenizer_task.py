"""One training step of a tokenizer, from micro-batches to new weights.

Legend: B micro-batch, G = B x accumulation x processes, the images of one optimiser step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn
from torch.func import functional_call

from textok.config import TrainTokenizerConfig
from textok.losses.adversarial import LeCAM, discriminator_loss, generator_loss
from textok.runtime.device import autocast
from textok.tokenizer import Reconstruction, Tokenizer, kl_divergence
from textok.train.chance import Chance, draw
from textok.train.ema import Ema
from textok.train.guard import Guard
from textok.train.micro import Logs, Stateful, add_terms, empty_logs, global_rows, synced
from textok.train.optim import Optimizer
from textok.train.preview import preview_sheet
from textok.types import Batch, TextFeatures


class Adversary:
    """A discriminator with its regulariser and an optimiser scheduled from ``gan.start`` on."""

    def __init__(
        self, config: TrainTokenizerConfig, discriminator: nn.Module, accelerator: Accelerator
    ) -> None:
        gan = config.loss.gan
        self.module = discriminator.to(accelerator.device)
        self.parallel = accelerator.prepare_model(self.module)
        self.lecam = LeCAM().to(accelerator.device)
        self.optimizer = Optimizer(
            self.module, config.optim, lr=gan.lr, first=gan.start, steps=config.run.steps
        )

    def judge_as_constant(self, images: Tensor) -> Tensor:
        """Logits whose gradient goes to ``images`` but not to the discriminator."""
        constants = {name: p.detach() for name, p in self.module.named_parameters()}
        logits: Tensor = functional_call(self.module, constants, (images,))
        return logits


class TokenizerTask:
    """A tokenizer against pixels, a perceptual network and, from a set step, a discriminator.

    ``text`` gives the features of captions; without it nothing reads them. ``preview`` are the
    pictures of the sheets.
    """

    def __init__(
        self,
        config: TrainTokenizerConfig,
        *,
        tokenizer: Tokenizer,
        perceptual: nn.Module | None,
        discriminator: nn.Module | None,
        text: Callable[[Sequence[str]], TextFeatures] | None,
        preview: Batch,
        accelerator: Accelerator,
    ) -> None:
        self.config, self.text, self.preview, self.accelerator = config, text, preview, accelerator
        self.tokenizer = tokenizer.to(accelerator.device)
        self.ema = Ema(self.tokenizer, config.run.ema)
        self.optimizer = Optimizer(
            self.tokenizer, config.optim, lr=config.optim.lr, first=0, steps=config.run.steps
        )
        self.perceptual = None if perceptual is None else perceptual.to(accelerator.device)
        self.adversary = None
        if discriminator is not None:
            self.adversary = Adversary(config, discriminator, accelerator)
        self.guard = Guard(accelerator, limit=config.run.max_bad_steps)
        self.tokenizer.set_grad_checkpointing(config.run.grad_checkpointing)
        if config.run.compile:
            self.tokenizer.compile()
        self.parallel = accelerator.prepare_model(self.tokenizer)

    def step(self, micro_batches: Sequence[Batch], step: int) -> dict[str, Tensor]:
        """One step of both optimisers, or of neither, along the mean gradient over the G images.

        The discriminator learns from the reconstructions that the tokenizer has just been trained
        on. Raises ValueError after ``run.max_bad_steps`` non-finite steps in a row.
        """
        adversary = self.adversary if step >= self.config.loss.gan.start else None
        chance = draw(self.config, self.tokenizer, step)
        count = len(micro_batches)
        logs = empty_logs(self.accelerator)

        pairs: list[tuple[Tensor, Tensor]] = []
        for index, batch in enumerate(micro_batches):
            rows = chance.rows(global_rows(self.config.run, self.accelerator, index, count))
            with synced(self.accelerator, self.parallel, index == count - 1):
                terms, pair = self._reconstruct(batch.to(self.accelerator.device), rows, step)
                self.accelerator.backward(terms["loss"] / count)
            if adversary is not None:
                pairs.append(pair)
            add_terms(logs, terms, 1 / count)
        if adversary is not None:
            for index, (real, fake) in enumerate(pairs):
                with synced(self.accelerator, adversary.parallel, index == count - 1):
                    terms = self._discriminate(adversary, real, fake)
                    self.accelerator.backward(terms["loss_discriminator"] / count)
                add_terms(logs, terms, 1 / count)

        self._apply(logs, adversary, step)
        return dict(logs)

    def _reconstruct(
        self, batch: Batch, chance: Chance, step: int
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        """The tokenizer's losses on B images, and these beside their reconstructions."""
        weights, device, real = self.config.loss, self.accelerator.device, batch.images
        text = None
        if self.text is not None:
            text = self.text(batch.captions).drop(chance.drop).to(device)
        noise = None if chance.noise is None else chance.noise.to(device)
        keep = None if chance.keep is None else chance.keep.to(device)
        with autocast(device, self.config.run.precision):
            out: Reconstruction = self.parallel(real, text, noise_BKC=noise, keep_B=keep)

        error = out.images - real
        terms = {"l2": error.square().mean(), "l1": error.abs().mean()}
        loss = weights.l2 * terms["l2"] + weights.l1 * terms["l1"]
        if self.perceptual is not None and step >= weights.perceptual_start:
            terms["perceptual"] = self.perceptual(out.images, real)
            loss = loss + weights.perceptual * terms["perceptual"]
        if out.latents.logvar is not None:
            terms["kl"] = kl_divergence(out.latents).mean()
            loss = loss + weights.kl * terms["kl"]
        adversary = self.adversary
        if adversary is not None and step >= weights.gan.start:
            with autocast(device, self.config.run.precision):
                logits = adversary.judge_as_constant(out.images)
            terms["gan"] = generator_loss(logits, kind=weights.gan.loss)
            loss = loss + weights.gan.weight * terms["gan"]
        return {"loss": loss, **terms}, (real, out.images.detach())

    def _discriminate(self, adversary: Adversary, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The discriminator's losses on B images and their reconstructions."""
        gan = self.config.loss.gan
        with autocast(self.accelerator.device, self.config.run.precision):
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

    def _apply(self, logs: Logs, adversary: Adversary | None, step: int) -> None:
        """Move the weights along the gradients, if everything is finite in every process."""
        optimizers = [self.optimizer] + ([] if adversary is None else [adversary.optimizer])
        norms = [optimizer.clip() for optimizer in optimizers]
        losses = [value for name, value in logs.items() if name.startswith("loss")]
        if self.guard.passes(step, losses + norms):
            rates = [optimizer.step(step) for optimizer in optimizers]
            self.ema.update(self.tokenizer)
            if adversary is not None:
                means = torch.stack([logs["logits_real"], logs["logits_fake"]])
                adversary.lecam.update(*self.accelerator.reduce(means, reduction="mean"))
            logs["lr"] = torch.as_tensor(rates[0])
        for optimizer in optimizers:
            optimizer.zero_grad()
        logs["grad_norm"] = norms[0]
        logs["skipped"] = torch.as_tensor(float(self.guard.skipped))

    def sheet(self) -> Image.Image:
        """The preview pictures by the averaged tokenizer."""
        text = None if self.text is None else self.text(self.preview.captions)
        return preview_sheet(self.averaged, self.preview, text)

    def measure(self) -> dict[str, float]:
        """Nothing beside the losses: `textok evaluate` measures."""
        return {}

    @property
    def averaged(self) -> Tokenizer:
        """The tokenizer with averaged weights: the one to keep."""
        return self.ema.module

    def save(self, folder: Path) -> None:
        self.averaged.save_pretrained(folder)

    def state_dict(self) -> dict[str, Any]:
        """Weights, averages, optimisers, regulariser and counters."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful] = {
            "tokenizer": self.tokenizer,
            "ema": self.ema,
            "optimizer": self.optimizer,
            "guard": self.guard,
        }
        if self.adversary is not None:
            parts["discriminator"] = self.adversary.module
            parts["discriminator_optimizer"] = self.adversary.optimizer
            parts["lecam"] = self.adversary.lecam
        return parts
