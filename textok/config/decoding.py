"""A decoder that samples images by flow matching: what it is made of, and how it samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from textok.config.check import require_choice, require_range, whole_number
from textok.config.objective import LEAST_SHIFT, MOST_GUIDANCE, MOST_SHIFT, MOST_TIME

DecodingSampler = Literal["euler", "heun", "ddim", "dpmpp"]


@dataclass(frozen=True, kw_only=True)
class FlowDecoderConfig:
    """A decoder that generates: flow matching in pixels, from tokens and caption."""

    bottleneck: int = 128
    """Width that a noisy patch is projected to before the decoder's (JiT, arXiv 2511.13720)."""
    shared_modulation: bool = False
    """One adaptive norm for all blocks and a table of offsets for each, instead of a layer of
    6 width^2 numbers a block (PixArt-alpha's adaLN-single, arXiv 2310.00426, section 2.3)."""
    time_mean: float = 0.8
    """Mean of the logit-normal training times; positive looks more at the noise (JiT: 0.8)."""
    time_std: float = 0.8
    """Spread of the logit-normal training times (JiT: 0.8); 0 draws them uniformly."""
    time_shift: float = 1.0
    """Times t' = s t / (1 + (s - 1) t), in training and sampling: as if the noise were s times as
    strong. Neighbouring pixels of large images say the same: 2 at 512 px, as in JiT."""
    drop_tokens: float = 0.1
    """Share of training images whose tokens the decoder does not see; nested training, which draws
    how many it sees from 0 to K, ignores it."""
    drop_text: float = 0.1
    """Share of training captions that the encoder sees and the decoder does not."""

    def __post_init__(self) -> None:
        require_range("tokenizer.flow.drop_tokens", self.drop_tokens, 0, 1)
        require_range("tokenizer.flow.drop_text", self.drop_text, 0, 1)
        require_range("tokenizer.flow.bottleneck", self.bottleneck, 1)
        require_range("tokenizer.flow.time_mean", self.time_mean, -MOST_TIME, MOST_TIME)
        require_range("tokenizer.flow.time_std", self.time_std, 0, MOST_TIME)
        require_range("tokenizer.flow.time_shift", self.time_shift, LEAST_SHIFT, MOST_SHIFT)


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How a flow decoder samples an image."""

    sampler: DecodingSampler = "dpmpp"
    """``dpmpp`` (DPM-Solver++ 2M) is of order 2 at one pass a step; ``heun`` takes two."""
    steps: int = 16
    """Steps from noise to image."""
    caption_guidance: float = 1.0
    """Scale of classifier-free guidance on the caption; 1 is none."""
    token_guidance: float = 1.0
    """Scale of classifier-free guidance on the tokens; 1 is none."""

    def __post_init__(self) -> None:
        require_choice("decoding.sampler", self.sampler, DecodingSampler)
        whole_number("decoding.steps", self.steps, 1, 1000)
        require_range("decoding.caption_guidance", self.caption_guidance, 0, MOST_GUIDANCE)
        require_range("decoding.token_guidance", self.token_guidance, 0, MOST_GUIDANCE)

    @property
    def passes(self) -> int:
        """Of the network for an image whose caption is read: each scale but 1 adds one to each."""
        calls = 2 * self.steps - 1 if self.sampler == "heun" else self.steps
        return calls * (1 + (self.caption_guidance != 1) + (self.token_guidance != 1))

    def __str__(self) -> str:
        return (
            f"sampled by {self.sampler} in {self.steps} steps, guidance {self.caption_guidance:g} "
            f"on the caption and {self.token_guidance:g} on the tokens"
        )


@dataclass(frozen=True, kw_only=True)
class DecodingOptions:
    """What is asked of a flow decoder instead of the tokenizer's own ``sampling``."""

    steps: int | None = None
    """Of a decoder that samples, 1 or more, instead of the tokenizer's own; a pass each."""
    sampler: DecodingSampler | None = None
    """How a decoder that samples goes from noise to the image."""
    caption_guidance: float | None = None
    """How closely a decoder that samples follows the caption; 1 is no guidance."""
    token_guidance: float | None = None
    """How closely a decoder that samples follows the tokens; 1 is no guidance."""

    def __post_init__(self) -> None:
        self.applied_to(DecodingConfig())

    @property
    def given(self) -> dict[str, Any]:
        """What was given, by the names of the settings."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def applied_to(self, own: DecodingConfig) -> DecodingConfig:
        """``own`` with what was given in its place. Raises ValueError for what is out of range."""
        return replace(own, **self.given)


AS_TRAINED = DecodingOptions()
"""The tokenizer's own ``sampling``."""

MOST_SEED = 2**30
"""The highest seed of a decoder that samples."""
