"""What a generator over latent tokens is made of, and how images are sampled from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from textok.config.alignment import GeneratorAlignmentConfig
from textok.config.check import require, require_choice, require_range, whole_number
from textok.config.guidance import GuidanceConfig as GuidanceConfig
from textok.config.objective import LEAST_SHIFT, MOST_SHIFT
from textok.config.objective import ObjectiveConfig as ObjectiveConfig
from textok.config.tokenizer import TokenizerConfig, ViTConfig

Sampler = Literal["euler", "heun", "ddim", "dpmpp", "sde", "ddpm", "meanflow", "maskgit"]


@dataclass(frozen=True, kw_only=True)
class DiTShape(ViTConfig):
    """Shape of a DiT; in YAML a name of ``DIT_SIZES`` may stand for it."""

    @classmethod
    def named(cls, name: str) -> DiTShape:
        """The published size ``name``. Raises ValueError for one that is not in ``DIT_SIZES``."""
        require(name in DIT_SIZES, f"DiT size '{name}' is unknown: use one of {sorted(DIT_SIZES)}")
        return DIT_SIZES[name]


DIT_SIZES: dict[str, DiTShape] = {
    "S": DiTShape(width=384, depth=12, heads=6),
    "B": DiTShape(width=768, depth=12, heads=12),
    "L": DiTShape(width=1024, depth=24, heads=16),
    "XL": DiTShape(width=1152, depth=28, heads=16),
}
"""Sizes of DiT (Peebles & Xie 2023, arXiv 2212.09748, Table 1)."""


@dataclass(frozen=True, kw_only=True)
class TokenGeneratorConfig(ABC):
    """What all generators have. A 0 is filled in from the latents that one is trained on."""

    num_tokens: int = 0
    """K latent tokens an image."""
    condition: Literal["text", "class"] = "text"
    """What an image is asked for by."""
    classes: int = 0
    """Number of classes; the null class has this number."""
    text_width: int = 0
    """Width of the text encoder's states."""
    text_tokens: int = 0
    """T, the most text tokens a caption can have."""
    dropout: float = 0.0
    """Share of the numbers dropped in training after attention, MLP and in the text; small sets."""

    def __post_init__(self) -> None:
        for name in ("num_tokens", "classes", "text_width", "text_tokens"):
            require_range(f"generator.{name}", getattr(self, name), 0)
        require(0 <= self.dropout < 1, f"generator.dropout is {self.dropout}: it must be in [0, 1)")

    @property
    @abstractmethod
    def heads(self) -> int:
        """Attention heads of the network, which its weights do not tell."""

    @abstractmethod
    def check_sampling(self, sampling: SamplingConfig) -> None:
        """Raise ValueError for a sampler that does not fit."""

    @property
    def takes_negative(self) -> bool:
        """Whether guidance can lead away from another condition than none."""
        return True

    def check_negative(self) -> None:
        """Raise ValueError for a generator that takes no negative condition."""
        require(
            self.takes_negative,
            "negative: a generator trained by 'meanflow' has learnt guidance away from no "
            "condition alone, leave the negative prompt or class out",
        )

    @abstractmethod
    def check_tokenizer(self, tokenizer: TokenizerConfig, *, scaled: int) -> None:
        """Raise ValueError unless ``tokenizer`` decodes what is made.

        ``scaled`` is the number of channels that are denormalised in between, 0 without a scale.
        """

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """What a model card says: ``architecture``, with its paper, and rows of its table."""

    def check_filled(self, *names: str) -> None:
        """Raise ValueError for a setting that is still 0, among ``names`` or what all need."""
        needed = ["num_tokens", *names]
        needed += ["classes"] if self.condition == "class" else ["text_width", "text_tokens"]
        for name in needed:
            require(
                getattr(self, name) > 0,
                f"generator.{name} is 0: set it to what the latents have, or train, which fills "
                "it in",
            )


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(TokenGeneratorConfig):
    """A DiT over K tokens of C numbers."""

    channels: int = 0
    """C numbers a token; 0 is filled in."""
    network: DiTShape = field(default_factory=lambda: DIT_SIZES["B"])
    pooled_text: bool = False
    """Also add the mean text state to the time embedding; cheap, and strong on small budgets."""
    qk_norm: bool = False
    """RMS-normalise queries and keys; steadies bf16 training."""
    time_frequency: float = 1000.0
    """Highest frequency of the sinusoids of time, in radians from t = 0 to 1. 1,000 as DiT, which
    counts steps; ``meanflow`` differentiates by time and learns better with 100."""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    alignment: GeneratorAlignmentConfig = field(default_factory=GeneratorAlignmentConfig)
    """Of hidden states with the features of a frozen image network, in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("generator.channels", self.channels, 0)
        require_range("generator.time_frequency", self.time_frequency, 1, 1e6)
        if self.alignment.weight > 0:
            self.alignment.block_of(self.network.depth)

    @property
    def heads(self) -> int:
        return self.network.heads

    def check_sampling(self, sampling: SamplingConfig) -> None:
        """Raise ValueError for a sampler that does not fit the objective."""
        fits = {
            "flow": ("euler", "heun", "ddim", "dpmpp", "sde"),
            "ddpm": ("ddpm", "ddim", "dpmpp"),
            "meanflow": ("meanflow",),
        }
        sampling.require_one_of(
            fits[self.objective.name], f"a generator trained by '{self.objective.name}'"
        )
        require(
            sampling.time_shift is None or self.objective.name != "ddpm",
            f"sampling.time_shift is {sampling.time_shift}: it is for generators trained by "
            "'flow' or 'meanflow', leave it out",
        )
        if self.objective.name == "meanflow":
            sampling.guidance.check_learnt(self.objective.max_guidance)

    @property
    def takes_negative(self) -> bool:
        return self.objective.name != "meanflow"

    def check_tokenizer(self, tokenizer: TokenizerConfig, *, scaled: int) -> None:
        """Raise ValueError unless ``tokenizer`` and scale have as many channels."""
        require(
            self.num_tokens <= tokenizer.num_tokens and self.channels == tokenizer.channels,
            f"the generator makes {self.num_tokens} tokens x {self.channels}, the tokenizer reads "
            f"{tokenizer.num_tokens} x {tokenizer.channels}: they do not belong together",
        )
        require(
            scaled == self.channels,
            f"scale has {scaled} channels, the generator has {self.channels}",
        )

    def facts(self) -> dict[str, str]:
        shape = self.network
        return {
            "architecture": "DiT (Peebles & Xie, ICCV 2023, arXiv 2212.09748)",
            "latent": f"{self.num_tokens} tokens x {self.channels}",
            "network": f"DiT, width {shape.width}, depth {shape.depth}, {shape.heads} heads",
            "trained by": self.objective.cited,
        }


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How latents are sampled from a generator."""

    sampler: Sampler = "euler"
    """``euler``, ``heun``, ``sde`` (fresh noise at each step): flow; ``ddpm``: ddpm; ``ddim``,
    ``dpmpp`` (DPM-Solver++ 2M): both; ``meanflow``: meanflow; ``maskgit``: masked tokens."""
    steps: int = 32
    """Passes of the generator for each image, twice as many with guidance but by ``meanflow``."""
    time_shift: float | None = None
    """Flow, meanflow: s in t' = s t / (1 + (s - 1) t) of the sampler's times; None: as in training.
    Above 1 takes more of the steps near the noise."""
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
    temperature: float = 4.5
    """``maskgit``: of the Gumbel noise on codes and on their order, falling to 0."""
    softmax_annealing: bool = False
    """``maskgit``: soften the logits at first, by temperatures that fall from 1.3 to 0.5."""

    def __post_init__(self) -> None:
        require_choice("sampling.sampler", self.sampler, Sampler)
        whole_number("sampling.steps", self.steps, 1, 1000)
        if self.time_shift is not None:
            require_range("sampling.time_shift", self.time_shift, LEAST_SHIFT, MOST_SHIFT)
        require_range("sampling.temperature", self.temperature, 0, 1e6)

    def require_one_of(self, samplers: tuple[str, ...], what: str) -> None:
        """Raise ValueError where the sampler is none of those that fit ``what``."""
        require(
            self.sampler in samplers,
            f"sampling.sampler '{self.sampler}' does not fit {what}: use "
            + (f"one of {', '.join(samplers)}" if len(samplers) > 1 else samplers[0]),
        )


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """What is asked of a generator instead of the model's own ``sampling``."""

    sampler: Sampler | None = None
    """How noise becomes an image, instead of the model's own way."""
    steps: int | None = None
    """Of the sampler, 1 or more, instead of the model's own; each costs one pass of the generator.
    """
    guidance: float | None = None
    """Scale of classifier-free guidance, instead of the model's own; 1 is no guidance (0 where the
    model adds to 1)."""
    time_shift: float | None = None
    """Of a flow's times, instead of the model's own: above 1 more of the steps near the noise."""
    guide: str | None = None
    """Pipeline folder or hub name of a weaker version of the generator, which guidance leads away
    from (autoguidance) instead of from no condition."""
    temperature: float | None = None
    """Of the sampler maskgit, 0 or more: more gives more variety, 0 none."""

    def __post_init__(self) -> None:
        self._put_into(SamplingConfig())

    @property
    def given(self) -> dict[str, Any]:
        """What was given, by the names of the settings."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def applied_to(self, own: SamplingConfig) -> SamplingConfig:
        """``own`` with what was given in its place.

        Raises ValueError for a temperature or a time shift where the sampler has none.
        """
        sampling = self._put_into(own)
        require(
            self.time_shift is None or sampling.sampler != "maskgit",
            "time_shift is for generators trained by 'flow', not for the sampler maskgit: leave it "
            "out",
        )
        require(
            self.temperature is None or sampling.sampler == "maskgit",
            f"temperature is for the sampler maskgit, not '{sampling.sampler}': leave it out",
        )
        return sampling

    def _put_into(self, own: SamplingConfig) -> SamplingConfig:
        given = self.given
        guidance = replace(
            own.guidance,
            scale=given.pop("guidance", own.guidance.scale),
            guide=given.pop("guide", own.guidance.guide),
        )
        return replace(own, guidance=guidance, **given)


AS_SAMPLED = SamplingOptions()
"""The model's own ``sampling``."""
