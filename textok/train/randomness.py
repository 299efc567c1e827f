"""What is random in a training step, as a pure function of (seed, step, row of the global batch).

So neither accumulation nor the number of processes changes it, and nothing has to be saved to
resume a run. Legend: G global batch, B micro-batch, K latent tokens, C channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

from textok.generator.maskgit import draw_mask, mask_ratio
from textok.tokenizer import Tokenizer
from textok.types import Condition, TextFeatures, upload

Droppable = TypeVar("Droppable", Condition, TextFeatures)


@dataclass(frozen=True, kw_only=True)
class StepRandomness:
    """Random numbers for some rows; None where the objective needs none of that kind."""

    drop: Tensor
    """(B,) bool: the condition is left out."""
    posterior: Tensor | None = None
    """(B, K, C) standard normal: where in its distribution a latent is."""
    keep: Tensor | None = None
    """(B,) int64 tokens that the decoder sees, where it does not see all."""
    noise: Tensor | None = None
    """(B, ...) standard normal: added to latents (K, C), or to patches (N, P)."""
    time: Tensor | None = None
    """(B,) standard normal: what the objective turns into timesteps."""
    second_time: Tensor | None = None
    """(B,) standard normal: the other time, where an objective has two."""
    equal_times: Tensor | None = None
    """(B,) bool: both times are the same."""
    guidance: Tensor | None = None
    """(B, 3) uniform in [0, 1): what becomes scale, low and high of guidance inside training."""
    drop_decoder_text: Tensor | None = None
    """(B,) bool: a flow decoder does not see the caption, which the encoder may have seen."""
    mask: Tensor | None = None
    """(B, K) bool: the code is hidden."""
    seeds: Tensor | None = None
    """(B,) int64: of the images that are generated, one each."""
    hidden_share: Tensor | None = None
    """(B,) share of the codes of all G rows that are hidden: the same number in every row."""

    def rows(self, rows: slice) -> StepRandomness:
        return self._map(lambda tensor: tensor[rows])

    def to(self, device: torch.device) -> StepRandomness:
        return self._map(lambda tensor: upload(tensor, device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> StepRandomness:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return StepRandomness(
            **{name: change(value) for name, value in given.items() if value is not None}
        )


@dataclass(frozen=True, kw_only=True)
class RandomSource:
    """The settings that all random numbers of a training follow from."""

    seed: int
    batch_size: int
    """G."""
    drop: float = 0.0
    """Share of the conditions that are left out."""

    def dropped(self, condition: Droppable, randomness: StepRandomness) -> Droppable:
        """``condition`` less what is left out; untouched where nothing ever is."""
        return condition.drop(randomness.drop) if self.drop > 0 else condition

    def generator(self, step: int) -> torch.Generator:
        """A CPU generator of its own for each (seed, step)."""
        digest = hashlib.sha256(f"{self.seed}/{step}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))


def sample_for_tokenizer(source: RandomSource, tokenizer: Tokenizer, step: int) -> StepRandomness:
    """The random numbers of ``step`` for all G images of a tokenizer's training."""
    size, shape, generator = source.batch_size, tokenizer.config, source.generator(step)
    drop = torch.rand(size, generator=generator) < source.drop
    keep = tokenizer.draw_keep(size, generator) if shape.nested else None
    posterior = None
    if shape.bottleneck == "kl":
        posterior = torch.randn(size, shape.num_tokens, shape.channels, generator=generator)
    if shape.decoding != "flow":
        return StepRandomness(drop=drop, posterior=posterior, keep=keep)
    noise = torch.randn(size, shape.grid**2, 3 * shape.patch_size**2, generator=generator)
    time = torch.randn(size, generator=generator)
    drop_decoder_text = torch.rand(size, generator=generator) < shape.flow.drop_text
    if keep is None:
        shown = torch.rand(size, generator=generator) >= shape.flow.drop_tokens
        keep = shown * shape.num_tokens
    return StepRandomness(
        drop=drop,
        posterior=posterior,
        keep=keep,
        noise=noise,
        time=time,
        drop_decoder_text=drop_decoder_text,
    )


def sample_for_diffusion(
    source: RandomSource, step: int, *, num_tokens: int, channels: int
) -> StepRandomness:
    """The random numbers of ``step`` for all G latents of a DiT's training."""
    size, generator = source.batch_size, source.generator(step)
    latent = (size, num_tokens, channels)
    return StepRandomness(
        drop=torch.rand(size, generator=generator) < source.drop,
        posterior=torch.randn(latent, generator=generator),
        noise=torch.randn(latent, generator=generator),
        time=torch.randn(size, generator=generator),
    )


def sample_for_mean_flow(
    source: RandomSource, step: int, *, num_tokens: int, channels: int, equal_times: float
) -> StepRandomness:
    """The random numbers of ``step`` for all G latents of a training by average velocities.

    A share ``equal_times`` of the rows has one time alone, spread evenly over those of all steps:
    the rows themselves are in random order.
    """
    size, generator = source.batch_size, source.generator(step)
    latent = (size, num_tokens, channels)
    rows = step * size + torch.arange(size + 1, dtype=torch.float64)
    so_far = (rows * equal_times).floor()
    return StepRandomness(
        drop=torch.rand(size, generator=generator) < source.drop,
        posterior=torch.randn(latent, generator=generator),
        noise=torch.randn(latent, generator=generator),
        time=torch.randn(size, generator=generator),
        second_time=torch.randn(size, generator=generator),
        guidance=torch.rand(size, 3, generator=generator),
        equal_times=so_far.diff() > 0,
    )


def sample_seeds(source: RandomSource, step: int) -> Tensor:
    """Seeds (G,) of the images that a generator makes in ``step``, in no other step."""
    return torch.randint(2**62, (source.batch_size,), generator=source.generator(step))


def sample_for_masking(source: RandomSource, step: int, *, num_tokens: int) -> StepRandomness:
    """The random numbers of ``step`` for all G rows of codes of a MaskGIT's training."""
    size, generator = source.batch_size, source.generator(step)
    drop = torch.rand(size, generator=generator) < source.drop
    ratio = mask_ratio(torch.rand(size, generator=generator))
    mask = draw_mask(ratio, torch.rand(size, num_tokens, generator=generator))
    return StepRandomness(drop=drop, mask=mask, hidden_share=mask.float().mean().expand(size))
