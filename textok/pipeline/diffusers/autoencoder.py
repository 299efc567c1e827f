"""A tokenizer behind the calls of diffusers' autoencoders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor

from textok.config.check import require
from textok.latents import LatentScale
from textok.pipeline.diffusers.saving import DiffusersSaving
from textok.pipeline.folder import SETTINGS, read_scale
from textok.pipeline.inputs import Captions, read_pictures
from textok.pipeline.reconstructor import Reconstructor
from textok.runtime.files import write_text
from textok.runtime.pretrained import find_folder, read_json
from textok.tokenizer import Tokenizer
from textok.types import Latents

SCALE = "scale.json"
"""Of a tokenizer's folder: mean and standard deviation of each channel."""


@dataclass(frozen=True)
class TokenDistribution:
    """What the encoder says of the tokens: a diagonal normal distribution, or one value (std 0)."""

    latents: Latents

    @property
    def mean(self) -> Tensor:
        """(B, K, C)."""
        return self.latents.mean

    @property
    def logvar(self) -> Tensor:
        """(B, K, C); minus infinity for a tokenizer whose bottleneck is not ``kl``."""
        known = self.latents.logvar
        return torch.full_like(self.mean, -torch.inf) if known is None else known

    @property
    def var(self) -> Tensor:
        return self.logvar.exp()

    @property
    def std(self) -> Tensor:
        return (0.5 * self.logvar).exp()

    def mode(self) -> Tensor:
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Tokens (B, K, C) at noise of ``generator``, which is sampled on its own device."""
        device = self.mean.device if generator is None else generator.device
        noise = torch.randn(self.mean.shape, generator=generator, device=device)
        return self.latents.sample(noise.to(self.mean))

    def kl(self) -> Tensor:
        """(B,) divergence from the standard normal distribution; 0 where there is no variance."""
        if self.latents.logvar is None:
            return self.mean.new_zeros(len(self.mean))
        return 0.5 * (self.mean.square() + self.var - 1 - self.logvar).sum(dim=(1, 2))


class AutoencoderTexTok(DiffusersSaving, ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A textok tokenizer with the calls of ``AutoencoderKL``; captions are a keyword.

    Latents are tokens (B, K, C), without height and width. ``config.shift_factor`` and
    ``config.scaling_factor`` are those with which ``(z - shift) * scaling`` has mean 0 and
    variance 1 over all channels, as a pipeline's scale says; 0 and 1 for a tokenizer alone.
    ``config.latents_mean`` and ``config.latents_std`` are that scale by channel.
    """

    config_name = "config.json"

    def __init__(self, tokenizer: Tokenizer, *, scale: LatentScale | None = None) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self._reader: tuple[torch.device, torch.dtype, Reconstructor] | None = None
        ours = tokenizer.config
        shift, scaling = (0.0, 1.0) if scale is None else _factors(scale)
        self.register_to_config(
            sample_size=ours.image_size,
            in_channels=3,
            out_channels=3,
            latent_channels=ours.channels,
            num_tokens=ours.num_tokens,
            shift_factor=shift,
            scaling_factor=scaling,
            latents_mean=None if scale is None else scale.mean.tolist(),
            latents_std=None if scale is None else scale.std.tolist(),
        )

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        revision: str | None = None,
        token: str | None = None,
    ) -> AutoencoderTexTok:
        """Load a pipeline or tokenizer: ``products`` (the bundled one), a folder or a hub name.

        Raises ValueError naming the file or setting that does not fit.
        """
        folder = find_folder(name, revision=revision, token=token)
        scale = read_scale(folder) if (folder / SETTINGS).is_file() else _saved_scale(folder)
        tokenizer = Tokenizer.from_pretrained(folder).to(dtype=torch_dtype or torch.float32)
        return cls(tokenizer.eval(), scale=scale)

    def write_files(self, folder: Path, *, precision: torch.dtype | None) -> None:
        """Write a tokenizer folder, with the scale beside it."""
        self.tokenizer.save_pretrained(folder, precision=precision)
        if self.config.latents_mean is None:
            (folder / SCALE).unlink(missing_ok=True)
        else:
            scale = {"mean": self.config.latents_mean, "std": self.config.latents_std}
            write_text(folder / SCALE, json.dumps(scale) + "\n")

    def encode(
        self, x: Tensor, return_dict: bool = True, *, caption: Captions = None
    ) -> AutoencoderKLOutput | tuple[TokenDistribution]:
        """Images (B, 3, H, W) in [-1, 1] to the distribution of their tokens.

        ``caption`` is one text an image, for a tokenizer whose encoder reads it. Raises ValueError
        for images of another size or range, and where captions and images differ in number.
        """
        images = read_pictures(x, self.tokenizer.config.image_size).to(x.device)
        features = self._read().features(caption, len(images))
        found = TokenDistribution(self.tokenizer.encode(images, features))
        return AutoencoderKLOutput(latent_dist=found) if return_dict else (found,)

    def decode(
        self,
        z: Tensor,
        return_dict: bool = True,
        *,
        caption: Captions = None,
        seeds: Sequence[int] | None = None,
    ) -> DecoderOutput | tuple[Tensor]:
        """Tokens (B, K, C), without scale, to images (B, 3, H, W), not clamped.

        ``seeds``, one an image, are for decoders that sample.
        """
        features = self._read().features(caption, len(z))
        images = self.tokenizer.decode(z, features, seeds=seeds)
        return DecoderOutput(sample=images) if return_dict else (images,)

    def forward(
        self,
        sample: Tensor,
        sample_posterior: bool = False,
        return_dict: bool = True,
        generator: torch.Generator | None = None,
        *,
        caption: Captions = None,
    ) -> DecoderOutput | tuple[Tensor]:
        """Images to tokens and back."""
        (found,) = self.encode(sample, return_dict=False, caption=caption)
        z = found.sample(generator) if sample_posterior else found.mode()
        return self.decode(z, return_dict=return_dict, caption=caption)

    def _read(self) -> Reconstructor:
        """What reads captions where the tokenizer is now."""
        here = (self.device, self.dtype)
        if self._reader is None or self._reader[:2] != here:
            reader = Reconstructor(self.tokenizer, device=here[0], dtype=here[1])
            self._reader = (*here, reader)
        return self._reader[2]


def _saved_scale(folder: Path) -> LatentScale | None:
    path = folder / SCALE
    if not path.is_file():
        return None
    data = read_json(path)
    require({"mean", "std"} <= data.keys(), f"{path}: has no mean and std; copy it again")
    return LatentScale(torch.tensor(data["mean"]), torch.tensor(data["std"]))


def _factors(scale: LatentScale) -> tuple[float, float]:
    """Mean, and one over the standard deviation, of a number of any channel."""
    mean, std = scale.mean.double(), scale.std.double()
    variance = std.square().mean() + mean.var(unbiased=False)
    return float(mean.mean()), float(variance.rsqrt())
