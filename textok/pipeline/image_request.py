"""Which images are to be generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textok.config.check import require, require_range
from textok.config.generator import Sampler, SamplingConfig


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """One image to generate."""

    prompt: str
    """A prompt, or the name of a class; blank: the null condition."""
    seed: int
    """All of the picture's chance."""
    caption: str | None = None
    """What the tokenizer's decoder reads; None: the prompt, or a caption of the class."""


def image_requests(
    prompts: str | Sequence[str], *, num_images: int, seed: int, caption: str | None = None
) -> list[ImageRequest]:
    """Image j of each prompt or class, with ``seed + j``; those of the first prompt first."""
    require_range("num_images", num_images, 1)
    several = [prompts] if isinstance(prompts, str) else prompts
    require(len(several) > 0, "nothing to draw: give a prompt")
    return [
        ImageRequest(prompt=one, seed=seed + j, caption=caption)
        for one in several
        for j in range(num_images)
    ]


def adjusted(
    sampling: SamplingConfig,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: Sampler | None = None,
    temperature: float | None = None,
) -> SamplingConfig:
    """``sampling`` with what is given in place of its own.

    Raises ValueError for a temperature where the sampler has none.
    """
    if guidance is not None:
        sampling = replace(sampling, guidance=replace(sampling.guidance, scale=guidance))
    sampling = replace(
        sampling,
        steps=sampling.steps if steps is None else steps,
        sampler=sampling.sampler if sampler is None else sampler,
        temperature=sampling.temperature if temperature is None else temperature,
    )
    require(
        temperature is None or sampling.sampler == "maskgit",
        f"temperature is for the sampler maskgit, not '{sampling.sampler}': leave it out",
    )
    return sampling
