"""One training step of a tokenizer: captions in, and in its two stages the codes of a VQGAN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from einops import rearrange
from PIL import Image
from torch import Tensor, nn

from textok.config import TrainTokenizerConfig
from textok.nn.codebook import Codebook
from textok.tokenizer import Tokenizer, kl_divergence
from textok.train.chance import Chance, draw
from textok.train.pixel_task import PixelTask, Terms
from textok.train.preview import preview_sheet
from textok.types import Batch, Reconstruction, TextFeatures
from textok.vqgan import VQGAN


class TokenizerTask(PixelTask[Tokenizer]):
    """A tokenizer against pixels or, in the first of two stages, the codes of a frozen VQGAN.

    ``text`` gives the features of captions; without it nothing reads them. ``proxy`` is that
    VQGAN. ``preview`` are the pictures of the sheets.
    """

    name = "tokenizer"

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
        proxy: VQGAN | None = None,
    ) -> None:
        self.config, self.text = config, text
        self.proxy = None if proxy is None else proxy.to(accelerator.device)
        tokenizer.set_grad_checkpointing(config.run.grad_checkpointing)
        super().__init__(
            config,
            network=tokenizer,
            perceptual=perceptual,
            discriminator=discriminator,
            preview=preview,
            accelerator=accelerator,
        )

    @property
    def codebook(self) -> Codebook | None:
        return self.network.codebook if self.network.config.bottleneck == "vq" else None

    def draw(self, step: int) -> Chance:
        return draw(self.config, self.network, step)

    def forward(self, batch: Batch, chance: Chance) -> Reconstruction:
        device = self.accelerator.device
        text = None
        if self.text is not None:
            text = self.text(batch.captions).to(device).drop(chance.drop.to(device))
        out: Reconstruction = self.parallel(
            batch.images,
            text,
            noise_BKC=None if chance.noise is None else chance.noise.to(device),
            keep_B=None if chance.keep is None else chance.keep.to(device),
            pixels=self.config.loss.pixels,
            flow=None if chance.flow is None else chance.flow.to(device),
        )
        return out

    def losses(self, out: Reconstruction, real: Tensor, step: int) -> Terms:
        """Those of pixels and codebook, the KL divergence, and the VQGAN's codes (stage 1)."""
        terms, weights = super().losses(out, real, step), self.config.loss
        if out.latents.logvar is not None:
            terms["kl"] = kl_divergence(out.latents).mean()
            terms["loss"] = terms["loss"] + weights.kl * terms["kl"]
        if self.proxy is not None and out.logits is not None:
            with torch.no_grad():
                codes = self.proxy.encode(real).codes
            assert codes is not None
            terms["codes"] = F.cross_entropy(rearrange(out.logits, "B N V -> B V N"), codes)
            terms["codes_right"] = (out.logits.argmax(-1) == codes).float().mean()
            terms["loss"] = terms["loss"] + weights.codes * terms["codes"]
        return terms

    @torch.no_grad()
    def sheet(self) -> Image.Image:
        """The preview pictures by the averaged tokenizer, with the caption and without it."""
        images, tokenizer = self.preview.images.to(self.accelerator.device), self.averaged
        plain = tokenizer.decode(tokenizer.encode(images))
        if self.text is None:
            return preview_sheet(self.preview, {"reconstruction": plain})
        text = self.text(self.preview.captions).to(self.accelerator.device)
        read = tokenizer.decode(tokenizer.encode(images, text), text)
        return preview_sheet(self.preview, {"with caption": read, "without": plain})

    def save(self, folder: Path) -> None:
        if self.accelerator.is_main_process:
            self.averaged.save_pretrained(folder)
