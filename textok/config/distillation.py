"""A flow decoder that learns to sample in few steps what another samples in many."""

from __future__ import annotations

from dataclasses import dataclass

from textok.config.check import require, require_range
from textok.config.decoding import DecodingOptions
from textok.config.objective import MOST_GUIDANCE
from textok.config.tokenizer import TokenizerConfig

ALONG = ("ddim", "euler")
"""Samplers whose step follows from one prediction alone."""


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """The teacher is ``init``; the student starts from its weights (SSDD, arXiv 2510.04961)."""

    steps: int = 0
    """Steps in which the teacher samples what is learnt, to be sampled in
    ``tokenizer.sampling.steps``: a multiple of these; 0 trains on the images themselves."""
    caption_guidance: float | None = None
    """Of the teacher; empty: that of its own ``sampling``."""
    token_guidance: float | None = None
    """Of the teacher; empty: that of its own ``sampling``."""

    def __post_init__(self) -> None:
        require_range("loss.distillation.steps", self.steps, 0, 1000)
        for name in ("caption_guidance", "token_guidance"):
            scale = getattr(self, name)
            if scale is not None:
                require_range(f"loss.distillation.{name}", scale, 0, MOST_GUIDANCE)

    @property
    def on(self) -> bool:
        return self.steps > 0

    @property
    def teacher(self) -> DecodingOptions:
        """How the teacher samples, in place of its own ``sampling``."""
        return DecodingOptions(
            steps=self.steps,
            caption_guidance=self.caption_guidance,
            token_guidance=self.token_guidance,
        )

    def check(self, tokenizer: TokenizerConfig, *, init: str, encoder_frozen: bool) -> None:
        """Raise ValueError where there is no teacher, or the student could not follow its path."""
        if not self.on:
            return
        steps, sampler = tokenizer.sampling.steps, tokenizer.sampling.sampler
        require(
            tokenizer.decoding == "flow",
            f"loss.distillation.steps is {self.steps} but tokenizer.decoding is "
            f"'{tokenizer.decoding}': only 'flow' samples in steps, set loss.distillation.steps to "
            "0",
        )
        tokenizer.require_guidable("loss.distillation.caption_guidance", self.caption_guidance)
        require(init != "", "loss.distillation.steps is above 0: name the teacher in init")
        require(
            encoder_frozen,
            "loss.distillation.steps is above 0: set freeze_encoder to true, so that the tokens "
            "stay those of the teacher",
        )
        require(
            steps < self.steps and self.steps % steps == 0,
            f"tokenizer.sampling.steps is {steps}, loss.distillation.steps {self.steps}: the "
            "student takes each of its steps in place of the same number of the teacher's, such as "
            "1 in place of 16",
        )
        require(
            steps == 1 or sampler in ALONG,
            f"tokenizer.sampling.sampler is '{sampler}': several steps are distilled for those of "
            f"{' or '.join(ALONG)}",
        )
