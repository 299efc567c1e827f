"""One training step of a tokenizer: captions in, and in its two stages the codes of a VQGAN."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from einops import rearrange
from torch import Tensor, nn

from textok.config import TrainTokenizerConfig
from textok.nn.codebook import Codebook
from textok.pipeline import Reconstructor, decoding_seeds
from textok.text import TextFeaturesSource
from textok.tokenizer import Tokenizer, kl_divergence
from textok.train.chance import Chance, draw
from textok.train.micro import Terms
from textok.train.pixel_task import PixelTask
from textok.train.validation import Validation
from textok.types import Batch, Latents, Reconstruction
from textok.vqgan import VQGAN


class TokenizerTask(PixelTask[Tokenizer]):
    """A tokenizer against pixels or, in the first of two stages, the codes of a frozen VQGAN.

    ``text`` gives the features of captions; without it nothing reads them. ``proxy`` is that
    VQGAN. ``preview`` are the pictures of the sheets, ``validation`` those that are measured.
    """

    name = "tokenizer"

    def __init__(
        self,
        config: TrainTokenizerConfig,
        *,
        tokenizer: Tokenizer,
        perceptual: nn.Module | None,
        discriminator: nn.Module | None,
        text: TextFeaturesSource | None,
        preview: Batch,
        accelerator: Accelerator,
        proxy: VQGAN | None = None,
        logits: nn.Module | None = None,
        validation: Validation | None = None,
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
            logits=logits,
            validation=validation,
        )
        self._reconstructor = Reconstructor(
            self.averaged, text=self._held_out_text(), device=accelerator.device
        )

    @property
    def last_layer(self) -> Tensor:
        return self.network.last_layer

    @property
    def codebook(self) -> Codebook | None:
        return self.network.codebook if self.network.config.bottleneck == "vq" else None

    def _held_out_text(self) -> TextFeaturesSource | None:
        """The features of preview and validation captions.

        An encoder is asked once, by all processes: what they validate differs.
        """
        if self.validation is None or self.text is None:
            return self.text
        return self.text.precomputed([*self.preview.captions, *self.validation.captions])

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

    def reconstructions(self, batch: Batch) -> dict[str, Tensor]:
        """With the captions and without, as `textok evaluate` does: numbers of 16 bits."""
        captions = list(batch.captions)
        if self.text is None:
            return {"reconstruction": self._round_trip(batch, None)}
        return {
            "with caption": self._round_trip(batch, captions),
            "without": self._round_trip(batch, None),
        }

    def _round_trip(self, batch: Batch, captions: list[str] | None) -> Tensor:
        latents = self._reconstructor.encode(batch.images, captions)
        latents = Latents(mean=latents.mean.half().float(), codes=latents.codes)
        seeds = decoding_seeds(batch.keys)
        return self._reconstructor.decode_tensor(latents, captions, seeds=seeds)

    def save(self, folder: Path) -> None:
        if self.accelerator.is_main_process:
            self.averaged.save_pretrained(folder)
