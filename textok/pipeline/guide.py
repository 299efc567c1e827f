"""The guide of a pipeline: a weaker version of its generator, from a pipeline of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from textok.config.check import require
from textok.config.generator import SamplingConfig
from textok.generator import DiT
from textok.pipeline.folder import PipelineParts, load_pipeline
from textok.text.open import same_features

SAME = ("num_tokens", "channels", "condition", "classes", "text_width")
"""What a guide's settings have in common with the generator's."""
CLOSE = 1e-2
"""Relative difference of scales and weights that rounding to 16 bits explains."""


class Guides:
    """The guides of one pipeline, each loaded when it is first named."""

    def __init__(self, parts: PipelineParts) -> None:
        self._parts, self._loaded = parts, dict[str, DiT]()

    def guided(self, sampling: SamplingConfig, *, negative: str = "") -> Callable[..., Tensor]:
        """The generator's ``sample``, with the guide that ``sampling.guidance`` names, if any.

        Raises ValueError where the guide does not fit the generator, and beside a ``negative``,
        and for a ``negative`` that the generator cannot be led away from.
        """
        name, generator = sampling.guidance.guide, self._parts.generator
        if negative.strip():
            generator.config.check_negative()
        if not name:
            return generator.sample
        require(
            not negative.strip(),
            f"guide {name}: takes the place of the negative prompt or class: leave one of them out",
        )
        generator.config.check_sampling(sampling)
        if name not in self._loaded:
            like = next(generator.parameters())
            self._loaded[name] = load_guide(name, self._parts).to(like.device, like.dtype).eval()
        assert isinstance(generator, DiT)
        return partial(generator.sample, guide=self._loaded[name])


def load_guide(name: str | Path, parts: PipelineParts) -> DiT:
    """The generator of the pipeline ``name``, to guide that of ``parts``.

    Raises ValueError where it makes other latents, reads other conditions or predicts otherwise.
    """
    guide, refused = load_pipeline(name), f"guide {name}"
    own_generator, generator = parts.generator, guide.generator
    if not (isinstance(own_generator, DiT) and isinstance(generator, DiT)):
        raise ValueError(f"{refused}: autoguidance is for DiTs, one of the two generators is none")
    ours, theirs = own_generator.config, generator.config
    for setting in SAME:
        own, other = getattr(ours, setting), getattr(theirs, setting)
        require(
            own == other,
            f"{refused}: its {setting} is {other!r}, the generator's is {own!r}: name a weaker "
            "version of the same generator",
        )
    require(
        ours.objective.name == theirs.objective.name,
        f"{refused}: trained by '{theirs.objective.name}', the generator by "
        f"'{ours.objective.name}': their outputs mean different things",
    )
    require(
        list(guide.classes) == list(parts.classes),
        f"{refused}: has other classes, or in another order: train both on the same latents",
    )
    require(
        parts.text is None or (guide.text is not None and same_features(guide.text, parts.text)),
        f"{refused}: reads prompts by another text encoder: train both with the same settings text",
    )
    require(
        _same_latents(guide, parts),
        f"{refused}: made for the latents of another tokenizer or data set: train both on the same "
        "latents",
    )
    return generator


def _same_latents(one: PipelineParts, other: PipelineParts) -> bool:
    """Whether scales and tokenizers agree, up to the rounding of their files."""
    scales = [parts.scale for parts in (one, other)]
    states = [parts.tokenizer.state_dict() for parts in (one, other)]
    if scales[0] is None or scales[1] is None or one.tokenizer.config != other.tokenizer.config:
        return False
    pairs = [(scales[0].mean, scales[1].mean), (scales[0].std, scales[1].std)]
    pairs += [(states[0][name], states[1][name].to(states[0][name])) for name in states[0]]
    return all(torch.allclose(a, b, rtol=CLOSE, atol=1e-3) for a, b in pairs)
