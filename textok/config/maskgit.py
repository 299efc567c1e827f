"""What a masked generator over discrete tokens is made of, and what it learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from textok.config.check import require, require_range
from textok.config.generator import SamplingConfig, TokenGeneratorConfig
from textok.config.tokenizer import TokenizerConfig, ViTConfig


@dataclass(frozen=True, kw_only=True)
class MaskGITConfig(TokenGeneratorConfig):
    """A bidirectional transformer over K codes (Chang et al. 2022, arXiv 2202.04200)."""

    codebook_size: int = 0
    """V codes of the tokenizer; 0 is filled in."""
    architecture: Literal["bert", "uvit"] = "bert"
    """``bert``: post-norm blocks, as TiTok-L-32 and B-64 have; ``uvit``: pre-norm blocks with long
    skips, as S-128 has (arXiv 2209.12152)."""
    network: ViTConfig = field(default_factory=lambda: ViTConfig(width=768, depth=24, heads=16))
    """Width, blocks and heads; the MLP is four times as wide. U-ViT has one block more, between its
    two halves."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("generator.codebook_size", self.codebook_size, 0)
        require(
            self.architecture == "bert" or self.network.depth % 2 == 0,
            f"generator.network.depth is {self.network.depth}: a U-ViT has two halves, so an even "
            "number",
        )

    @property
    def heads(self) -> int:
        return self.network.heads

    def check_sampling(self, sampling: SamplingConfig) -> None:
        """Raise ValueError for any other sampler than ``maskgit``, and for a guide."""
        sampling.require_one_of(("maskgit",), "a generator of masked tokens")
        guide = sampling.guidance.guide
        require(
            not guide,
            f"guidance.guide is '{guide}': it is for DiTs, not for a generator of masked tokens; "
            "leave it out",
        )

    def check_tokenizer(self, tokenizer: TokenizerConfig, *, scaled: int) -> None:
        """Raise ValueError unless ``tokenizer`` has as many codes; codes have no scale."""
        theirs = tokenizer.codebook_size
        require(
            self.num_tokens <= tokenizer.num_tokens and self.codebook_size == theirs,
            f"the generator makes {self.num_tokens} tokens of {self.codebook_size} codes, the "
            f"tokenizer reads {tokenizer.num_tokens} of {theirs or 'no'} codes: they do not belong "
            "together",
        )
        require(scaled == 0, f"scale has {scaled} channels, but codes have none: make it null")

    def facts(self) -> dict[str, str]:
        shape, bits = self.network, self.num_tokens * math.log2(self.codebook_size)
        return {
            "architecture": "MaskGIT (Chang et al., CVPR 2022, arXiv 2202.04200)",
            "latent": f"{self.num_tokens} tokens of {self.codebook_size} codes = {bits:.0f} bits",
            "network": f"MaskGIT ({self.architecture}), width {shape.width}, depth {shape.depth}, "
            f"{shape.heads} heads",
            "trained by": "masked tokens",
        }


@dataclass(frozen=True, kw_only=True)
class MaskedLossConfig:
    """What a masked generator is trained towards."""

    label_smoothing: float = 0.1
    """Share of the target spread over all codes."""
    unmasked_weight: float = 0.1
    """Weight of the tokens that the network can see; masked ones have 1."""

    def __post_init__(self) -> None:
        require(
            0 <= self.label_smoothing < 1,
            f"loss.label_smoothing is {self.label_smoothing}: it must be in [0, 1)",
        )
        require_range("loss.unmasked_weight", self.unmasked_weight, 0)
