"""The two ways from a class to a picture that `benchmarks.sampling` compares, random weights both.

Legend: B pictures, K latent tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from textok.config import TokenizerConfig
from textok.config.generator import DiTShape, GeneratorConfig, SamplingConfig
from textok.generator import DiT, sample
from textok.generator.dit import Prepared
from textok.generator.mean_flow import MeanFlowCondition, sample_mean_flow
from textok.nn.linear import use_packed
from textok.tokenizer import Tokenizer
from textok.types import Condition, TextFeatures

OnStep = Callable[[int], None]
VAE_CHANNELS = (128, 256, 512, 512)
"""Of the SD-VAE (stabilityai/sd-vae-ft-ema), which halves the picture between each two."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and how both sides run."""

    device: str
    dtype: torch.dtype
    compiled: bool

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, compiled if asked for; on CUDA its launches are recorded once as a graph.

        Every call has the same shapes, in one case.
        """
        if not self.compiled:
            return function
        mode = "reduce-overhead" if self.device == "cuda" else "default"
        return torch.compile(function, dynamic=False, mode=mode)


class Side(Protocol):
    """What is timed."""

    def walk(
        self, pictures: int, sampling: SamplingConfig, on_step: OnStep | None = None
    ) -> Tensor:
        """Latents of so many pictures after all steps, each with guidance."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) of latents."""
        ...


class PlainDiT:
    """DiT-XL/2 over the SD-VAE's latents: diffusers' modules, as its DiTPipeline calls them.

    The step's own arithmetic is DDIM's, as in the released pipeline; DDPM's costs the same.
    """

    def __init__(
        self,
        shape: DiTShape,
        *,
        classes: int,
        image_size: int,
        place: Place,
        vae_channels: tuple[int, ...] = (),
    ) -> None:
        diffusers: Any = import_module("diffusers")
        vae_channels = vae_channels or VAE_CHANNELS
        self.latent_size = image_size // 2 ** (len(vae_channels) - 1)
        self.classes, self.place = classes, place
        with torch.device(place.device):
            self.transformer: Any = diffusers.DiTTransformer2DModel(
                num_attention_heads=shape.heads,
                attention_head_dim=shape.width // shape.heads,
                num_layers=shape.depth,
                sample_size=self.latent_size,
                patch_size=2,
                in_channels=4,
                out_channels=8,
                num_embeds_ada_norm=classes,
            )
            self.vae: Any = diffusers.AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * len(vae_channels),
                up_block_types=("UpDecoderBlock2D",) * len(vae_channels),
                block_out_channels=vae_channels,
                layers_per_block=2,
                latent_channels=4,
                scaling_factor=0.18215,
            )
        self.transformer.to(place.dtype).eval()
        self.vae.to(place.dtype).eval()
        self.scheduler: Any = diffusers.DDIMScheduler(
            beta_start=1e-4, beta_end=0.02, clip_sample=False, set_alpha_to_one=True
        )
        self._network = place.compile(self.transformer)
        self._decode = place.compile(lambda latents: self.vae.decode(latents).sample)

    @torch.inference_mode()
    def walk(
        self, pictures: int, sampling: SamplingConfig, on_step: OnStep | None = None
    ) -> Tensor:
        """As ``Side``; of ``sampling`` the steps and the scale of guidance count."""
        device, size = self.place.device, self.latent_size
        labels_B = torch.arange(pictures, device=device) % self.classes
        labels = torch.cat([labels_B, torch.full_like(labels_B, self.classes)])
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(pictures, 4, size, size, generator=generator, dtype=self.place.dtype)
        x = x.to(device)
        self.scheduler.set_timesteps(sampling.steps)
        for done, t in enumerate(self.scheduler.timesteps.tolist(), start=1):
            times = torch.full_like(labels, t)
            output = self._network(torch.cat([x, x]), timestep=times, class_labels=labels).sample
            asked, other = output[:, :4].chunk(2)
            noise = other + sampling.guidance.scale * (asked - other)
            x = self.scheduler.step(noise, t, x).prev_sample
            if on_step is not None:
                on_step(done)
        return x

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        return self._decode(latents / self.vae.config.scaling_factor)


class CompiledSteps:
    """A generator for ``sample`` whose steps are compiled.

    A recorded graph has its numbers at fixed addresses and knows no index, so each step is given
    its own row of the tables.
    """

    def __init__(self, generator: DiT, place: Place) -> None:
        self.config: GeneratorConfig = generator.config
        self._generator = generator
        self._step = place.compile(generator.step)

    def parameters(self) -> Iterator[nn.Parameter]:
        return self._generator.parameters()

    def prepare(
        self,
        condition: Condition,
        times_S: Tensor,
        *,
        mean_flow: MeanFlowCondition | None = None,
    ) -> Prepared:
        return self._generator.prepare(condition, times_S, mean_flow=mean_flow)

    def step(self, x_BKC: Tensor, index: int, prepared: Prepared) -> Tensor:
        tables, here = prepared.modulations, slice(index, index + 1)
        now = replace(
            prepared,
            vectors=prepared.vectors[here],
            modulations=None if tables is None else tuple(table[here] for table in tables),
        )
        return self._step(x_BKC, 0, now)


class TexTok:
    """TexTok's K tokens out of a class-conditional DiT, then its decoder, which reads a caption."""

    def __init__(
        self, tokenizer: TokenizerConfig, generator: GeneratorConfig, place: Place
    ) -> None:
        self.place = place
        with torch.device(place.device):
            self.generator = DiT(generator)
            for parameter in self.generator.parameters():
                nn.init.normal_(parameter, std=0.02)  # no gate is zero, as none is once trained
        self.generator.to(dtype=place.dtype).eval()
        self._network = CompiledSteps(self.generator, place) if place.compiled else self.generator
        self._open(tokenizer)

    def with_tokenizer(self, tokenizer: TokenizerConfig) -> TexTok:
        """The same generator and another decoder, of as many tokens."""
        other = copy(self)
        other._open(tokenizer)
        return other

    def _open(self, tokenizer: TokenizerConfig) -> None:
        with torch.device(self.place.device):
            self.tokenizer = Tokenizer(tokenizer)
        self.tokenizer.to(dtype=self.place.dtype).eval()
        use_packed(self.tokenizer)  # as a pipeline that is loaded
        self._decode = self.place.compile(self.tokenizer.decode)

    @torch.inference_mode()
    def walk(
        self, pictures: int, sampling: SamplingConfig, on_step: OnStep | None = None
    ) -> Tensor:
        config = self.generator.config
        draw = sample_mean_flow if config.objective.name == "meanflow" else sample
        return draw(
            self._network,
            Condition(labels=torch.arange(pictures) % config.classes),
            sampling=sampling,
            seeds=range(pictures),
            on_step=on_step,
        )

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Each picture has a caption of the greatest length, whose states are at hand."""
        config, place = self.tokenizer.config, self.place
        shape, text = (len(latents), config.text_tokens), None
        if config.decoder_reads_text:
            states = torch.ones(*shape, config.text_width, device=place.device, dtype=place.dtype)
            mask = torch.ones(*shape, device=place.device, dtype=torch.bool)
            text = TextFeatures(states=states, mask=mask)
        return self._decode(latents.to(place.dtype), text)
