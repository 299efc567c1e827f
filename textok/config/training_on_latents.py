"""All settings of the trainings on stored latents: generators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from textok.config.check import require, require_range
from textok.config.data import LatentsConfig, TextConfig
from textok.config.frechet import UNREAD, GeneratorFrechetConfig
from textok.config.generator import GeneratorConfig, GuidanceConfig, SamplingConfig
from textok.config.lora import LoraConfig
from textok.config.maskgit import MaskedLossConfig, MaskGITConfig
from textok.config.optim import OptimConfig
from textok.config.resume import MAY_CHANGE, may_change
from textok.config.run import RunConfig
from textok.config.training import INIT_TRAINING_STATE

NO_VALIDATION = (
    "run.validate_every is for tokenizers: a generator is measured with each sheet, leave it out"
)


@dataclass(frozen=True, kw_only=True)
class TrainOnLatentsConfig:
    """What every training of a generator has, beside the generator itself."""

    latents: LatentsConfig = field(default_factory=LatentsConfig)
    text: TextConfig = field(default_factory=TextConfig)
    """Encoder of the prompts; ``drop`` is the share of conditions, classes too, left out."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    prompts: tuple[str, ...] = may_change(())
    """Prompts of the sheets; empty: held-out captions, or some of the classes."""
    fd_images: int = may_change(0)
    """Images generated at each sheet, at most one a held-out row, for a Frechet distance to the
    reconstructions of these rows; 0 generates none."""
    init: str = ""
    """Pipeline folder or hub name whose generator training starts from."""
    init_training_state: bool = False
    """Also go on with the optimiser states that ``init`` was published with
    (``run.publish_training_state``), as far as they fit."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Train adapters in the blocks of ``init``'s generator, and nothing else."""

    def __post_init__(self) -> None:
        require(not self.init_training_state or self.init != "", INIT_TRAINING_STATE)
        self.lora.check(self.init, self.run)
        require(self.run.validate_every == 0, NO_VALIDATION)
        require_range("fd_images", self.fd_images, 0)
        require(self.fd_images != 1, "fd_images is 1: a Frechet distance needs at least 2")

    def unlearnt(self, guidance: GuidanceConfig) -> list[str]:
        """A line where ``guidance`` leads away from no condition, which every row has."""
        if self.text.drop > 0 or self.init or guidance.total == 1:
            return []
        return [
            "text.drop is 0: no row is without its condition, so what sampling.guidance leads away "
            "from is never learnt; raise text.drop, or set sampling.guidance.scale to "
            f"{0 if guidance.form == 'added' else 1}"
        ]


def one_step(*, max_guidance: float) -> SamplingConfig:
    """How ``meanflow`` is sampled where no setting says it."""
    guidance = GuidanceConfig(scale=min(GuidanceConfig().scale, max_guidance))
    return SamplingConfig(sampler="meanflow", steps=1, guidance=guidance)


@dataclass(frozen=True, kw_only=True)
class TrainGeneratorConfig(TrainOnLatentsConfig):
    """All of ``textok train generator``."""

    WITHOUT: ClassVar[tuple[str, ...]] = tuple(f"frechet.{name}" for name in UNREAD)

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig, metadata=MAY_CHANGE)
    """How sheets are sampled, and the default of the trained pipeline; for ``meanflow`` one step of
    its own sampler where nothing is said."""
    frechet: GeneratorFrechetConfig = field(default_factory=GeneratorFrechetConfig)
    """Post-training on generated images, for few steps, instead of the objective's own loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.generator.objective.name == "meanflow" and self.sampling == SamplingConfig():
            own = one_step(max_guidance=self.generator.objective.max_guidance)
            object.__setattr__(self, "sampling", own)
        self.generator.check_sampling(self.sampling)
        self.frechet.check_generator(self.generator, init=self.init, fd_images=self.fd_images)
        require(
            not self.sampling.guidance.guide,
            "sampling.guidance.guide: the sheets of a training are sampled without a guide; leave "
            "it out, and give it when generating, as `textok generate --guide`",
        )


@dataclass(frozen=True, kw_only=True)
class TrainMaskGITConfig(TrainOnLatentsConfig):
    """All of ``textok train maskgit``."""

    generator: MaskGITConfig = field(default_factory=MaskGITConfig)
    loss: MaskedLossConfig = field(default_factory=MaskedLossConfig)
    sampling: SamplingConfig = field(
        default_factory=lambda: SamplingConfig(sampler="maskgit", steps=8), metadata=MAY_CHANGE
    )
    """How sheets are sampled, and the default of the trained pipeline."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.generator.check_sampling(self.sampling)
