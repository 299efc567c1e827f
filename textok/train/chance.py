"""What chance decides in a step, as a pure function of (seed, step, position in the global batch).

So neither accumulation nor the number of processes changes it, and nothing needs to be remembered
to continue a run. Legend: G global batch, B micro-batch, K latent tokens, C channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

from textok.config import TrainGeneratorConfig, TrainMaskGITConfig, TrainTokenizerConfig
from textok.generator.maskgit import draw_mask, mask_ratio
from textok.tokenizer import FlowDraw, Tokenizer

Draws = TypeVar("Draws", bound="LatentChance")


@dataclass(frozen=True, kw_only=True)
class Chance:
    """Draws for some images in the training of a tokenizer, on the CPU."""

    drop: Tensor
    """(B,) bool: the caption is left out."""
    noise: Tensor | None
    """(B, K, C) standard normal, for latents with a spread."""
    keep: Tensor | None
    """(B,) int64 tokens that the decoder sees, where it does not see all."""
    flow: FlowDraw | None = None
    """For a flow decoder."""

    def rows(self, rows: slice) -> Chance:
        return Chance(
            drop=self.drop[rows],
            noise=None if self.noise is None else self.noise[rows],
            keep=None if self.keep is None else self.keep[rows],
            flow=None if self.flow is None else self.flow.rows(rows),
        )


def draw(config: TrainTokenizerConfig, tokenizer: Tokenizer, step: int) -> Chance:
    """The draws of ``step`` for all G images."""
    size, shape = config.run.batch_size, config.tokenizer
    generator = step_generator(config.run.seed, step)
    drop = torch.rand(size, generator=generator) < config.text.drop
    keep = tokenizer.draw_keep(size, generator) if shape.nested else None
    noise = None
    if shape.bottleneck == "kl":
        noise = torch.randn(size, shape.num_tokens, shape.channels, generator=generator)
    flow = None
    if shape.decoding == "flow":
        flow = FlowDraw(
            noise=torch.randn(size, shape.grid**2, 3 * shape.patch_size**2, generator=generator),
            time=torch.randn(size, generator=generator),
            drop_text=torch.rand(size, generator=generator) < shape.flow.drop_text,
        )
        if keep is None:
            shown = torch.rand(size, generator=generator) >= shape.flow.drop_tokens
            keep = shown * shape.num_tokens
    return Chance(drop=drop, noise=noise, keep=keep, flow=flow)


@dataclass(frozen=True, kw_only=True)
class LatentChance:
    """Draws for some latents in the training of a generator, one row each."""

    drop: Tensor
    """(B,) bool: the condition is left out."""

    def rows(self: Draws, rows: slice) -> Draws:
        return self._each(lambda tensor: tensor[rows])

    def to(self: Draws, device: torch.device) -> Draws:
        return self._each(lambda tensor: tensor.to(device))

    def _each(self: Draws, change: Callable[[Tensor], Tensor]) -> Draws:
        return type(self)(**{one.name: change(getattr(self, one.name)) for one in fields(self)})


@dataclass(frozen=True, kw_only=True)
class DiffusionChance(LatentChance):
    """For noise on latents; normal ones are standard normal."""

    spread: Tensor
    """(B, K, C) normal: where in its distribution a latent is."""
    noise: Tensor
    """(B, K, C) normal: what is added to the latents."""
    time: Tensor
    """(B,) normal: what the objective makes a time of."""


@dataclass(frozen=True, kw_only=True)
class MaskChance(LatentChance):
    """For masks on codes."""

    mask: Tensor
    """(B, K) bool: the code is hidden."""
    share: Tensor
    """(B,) of the codes of all G latents that are hidden: the same number in every row."""


def draw_diffusion(config: TrainGeneratorConfig, step: int) -> DiffusionChance:
    """The draws of ``step`` for all G latents."""
    size, shape = config.run.batch_size, config.generator
    generator = step_generator(config.run.seed, step)
    latent = (size, shape.num_tokens, shape.channels)
    return DiffusionChance(
        drop=torch.rand(size, generator=generator) < config.text.drop,
        spread=torch.randn(latent, generator=generator),
        noise=torch.randn(latent, generator=generator),
        time=torch.randn(size, generator=generator),
    )


def draw_masking(config: TrainMaskGITConfig, step: int) -> MaskChance:
    """The draws of ``step`` for all G latents."""
    size = config.run.batch_size
    generator = step_generator(config.run.seed, step)
    drop = torch.rand(size, generator=generator) < config.text.drop
    ratio = mask_ratio(torch.rand(size, generator=generator))
    mask = draw_mask(ratio, torch.rand(size, config.generator.num_tokens, generator=generator))
    return MaskChance(drop=drop, mask=mask, share=mask.float().mean().expand(size))


def step_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator of its own for each (seed, step)."""
    digest = hashlib.sha256(f"{seed}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))
