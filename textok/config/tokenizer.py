"""What a 1-D image tokenizer is made of (TexTok section 3; sizes from TiTok)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from textok.config.check import require, require_range
from textok.config.decoding import DecodingConfig, DecodingOptions, FlowDecoderConfig
from textok.config.vqgan import VQGANConfig

MOST_WIDTH, MOST_BLOCKS = 100_000, 1_000
"""Of a transformer: more is a mistake, and takes minutes to find out."""


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """Shape of one transformer; in YAML a name of ``VIT_SIZES`` may stand for it."""

    width: int = 768
    """D, the token width."""
    depth: int = 12
    """Number of blocks."""
    heads: int = 12
    """Attention heads; ``width`` must divide by it."""

    def __post_init__(self) -> None:
        require_range("width", self.width, 1, MOST_WIDTH)
        require_range("depth", self.depth, 1, MOST_BLOCKS)
        require_range("heads", self.heads, 1)
        require(
            self.width % self.heads == 0,
            f"width {self.width} is not a multiple of heads {self.heads}",
        )

    @classmethod
    def named(cls, name: str) -> ViTConfig:
        """The published size ``name``. Raises ValueError for one that is not in ``VIT_SIZES``."""
        require(name in VIT_SIZES, f"ViT size '{name}' is unknown: use one of {sorted(VIT_SIZES)}")
        return VIT_SIZES[name]


VIT_SIZES: dict[str, ViTConfig] = {
    "S": ViTConfig(width=512, depth=8, heads=8),
    "B": ViTConfig(width=768, depth=12, heads=12),
    "L": ViTConfig(width=1024, depth=24, heads=16),
}
"""TiTok's S, B and L; B on both sides is the TexTok paper's tokenizer."""


@dataclass(frozen=True, kw_only=True)
class CodebookConfig:
    """The codes of a ``vq`` bottleneck (van den Oord et al. 2017, arXiv 1711.00937)."""

    size: int = 4096
    """Number of codes."""
    l2_norm: bool = True
    """Compare and decode directions alone (Yu et al. 2022, arXiv 2110.04627)."""
    revive: bool = False
    """Move codes that are hardly used to where the data is (CVQ, arXiv 2307.15139)."""

    def __post_init__(self) -> None:
        require_range("tokenizer.codebook.size", self.size, 2)


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """TexTok, TiTok, their baselines and everything between, as settings of one model."""

    image_size: int = 256
    """Pixels a side."""
    patch_size: int = 8
    """Pixels a side of one patch; N = (image_size / patch_size)^2 patches."""
    num_tokens: int = 128
    """K latent tokens an image."""
    channels: int = 8
    """C numbers a latent token."""
    text: Literal["both", "encoder", "decoder", "none"] = "both"
    """Which side reads the caption."""
    text_width: int = 2048
    """Width of the text encoder's states (T5-XL 2048, T5-XXL 4096, all-MiniLM-L6-v2 384)."""
    text_tokens: int = 128
    """T, the most text tokens a caption can have."""
    encoder: ViTConfig = field(default_factory=lambda: VIT_SIZES["B"])
    decoder: ViTConfig = field(default_factory=lambda: VIT_SIZES["B"])
    bottleneck: Literal["kl", "ae", "vq"] = "kl"
    """``kl``: a diagonal Gaussian; ``ae``: plain numbers; ``vq``: the nearest of a codebook."""
    codebook: CodebookConfig = field(default_factory=CodebookConfig)
    """Of a ``vq`` bottleneck."""
    initial_logvar: float = 0.0
    """Log-variance the ``kl`` bottleneck starts from; -5 trains faster on small budgets."""
    nested: bool = False
    """Train on the first k of the K tokens, k drawn for each image, so that every k can decode."""
    qk_norm: bool = False
    """RMS-normalise queries and keys; steadies bf16 training."""
    layout: Literal["textok", "titok"] = "textok"
    """``titok``: a class token, a norm before the blocks, exact GELU, a convolution at the end."""
    legacy_reshape: bool = False
    """Reshape (K, D) encoder outputs to (D, K) unturned, as TiTok's two-stage weights need it."""
    output: Literal["pixels", "codes"] = "pixels"
    """``codes``: the decoder names the codes of a VQGAN, whose own decoder decodes them."""
    vqgan: VQGANConfig = field(default_factory=VQGANConfig)
    """Of ``output: codes``."""
    decoding: Literal["regression", "flow"] = "regression"
    """``regression``: the decoder predicts pixels in one pass; ``flow``: it samples them by flow
    matching, so that fewer tokens mean more freedom, not more blur."""
    flow: FlowDecoderConfig = field(default_factory=FlowDecoderConfig)
    """Of ``decoding: flow``."""
    sampling: DecodingConfig = field(default_factory=DecodingConfig)
    """Of ``decoding: flow``: how images are sampled where nothing else is asked for."""

    def __post_init__(self) -> None:
        for name in ("image_size", "patch_size", "num_tokens", "channels"):
            require_range(f"tokenizer.{name}", getattr(self, name), 1)
        require(
            self.image_size % self.patch_size == 0,
            f"tokenizer.image_size {self.image_size} is not a multiple of "
            f"tokenizer.patch_size {self.patch_size}",
        )
        if self.text != "none":
            require_range("tokenizer.text_width", self.text_width, 1)
            require_range("tokenizer.text_tokens", self.text_tokens, 1)
        if self.decoding == "flow":
            require(
                self.output == "pixels" and self.layout == "textok",
                "tokenizer.decoding 'flow' needs output 'pixels' and layout 'textok'",
            )
            scale = self.sampling.caption_guidance
            self.require_guidable("tokenizer.sampling.caption_guidance", scale)
        if self.output == "codes":
            ours, theirs = (self.image_size, self.grid), (self.vqgan.image_size, self.vqgan.grid)
            require(
                ours == theirs,
                f"tokenizer: images of {ours[0]} in {ours[1]} patches a side, but its vqgan has "
                f"images of {theirs[0]} in {theirs[1]} codes a side: they must be the same",
            )

    def sampled_by(
        self,
        options: DecodingOptions,
        *,
        seed: int | None = None,
        num_samples: int | None = None,
    ) -> DecodingConfig | None:
        """How images are sampled by ``options``: ``sampling`` with what was given in its place.

        None for regression, which takes no such options: ValueError where one was given, and for
        guidance on a caption that the decoder does not read.
        """
        if self.decoding == "flow":
            self.require_guidable("decoding.caption_guidance", options.caption_guidance)
            return options.applied_to(self.sampling)
        given = {f"decoding.{name}": value for name, value in options.given.items()}
        for name, value in (given | {"seed": seed, "num_samples": num_samples}).items():
            require(
                value is None,
                f"{name} is {value}, but this tokenizer decodes by regression, which samples "
                "nothing: leave it out",
            )
        return None

    def require_guidable(self, name: str, caption_guidance: float | None) -> None:
        """Raise ValueError for a scale, other than none, on a caption that is not read."""
        require(
            self.decoder_reads_text or caption_guidance in (None, 1),
            f"{name} is {caption_guidance}, but this tokenizer's decoder reads no caption "
            f"(tokenizer.text is '{self.text}'): leave it out",
        )

    @property
    def grid(self) -> int:
        """Patches a side."""
        return self.image_size // self.patch_size

    @property
    def codebook_size(self) -> int:
        """V codes that a token is one of; 0 where tokens are continuous."""
        return self.codebook.size if self.bottleneck == "vq" else 0

    @property
    def encoder_reads_text(self) -> bool:
        return self.text in ("both", "encoder")

    @property
    def decoder_reads_text(self) -> bool:
        return self.text in ("both", "decoder")
