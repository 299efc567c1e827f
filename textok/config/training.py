"""How models are trained: optimisers, the run itself, all settings of each training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from textok.config.check import require, require_range
from textok.config.data import MOST_AT_ONCE, DataConfig, LatentsConfig, TextConfig
from textok.config.frechet import UNREAD, GeneratorFrechetConfig
from textok.config.generator import GeneratorConfig, GuidanceConfig, SamplingConfig
from textok.config.losses import LossConfig
from textok.config.maskgit import MaskedLossConfig, MaskGITConfig
from textok.config.resume import MAY_CHANGE, may_change
from textok.config.tokenizer import TokenizerConfig
from textok.config.vqgan import VQGANConfig

NO_SHARD = "run.shard is for generators: the networks of tokenizers fit on each GPU, leave it out"
NO_VALIDATION = (
    "run.validate_every is for tokenizers: a generator is measured with each sheet, leave it out"
)
TrackerName = Literal["tensorboard", "wandb", "trackio", "none"]


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """One optimiser and its schedule: linear warm-up, then cosine to ``final_lr_share``."""

    name: Literal["adamw", "muon"] = "adamw"
    """``muon``: matrices of the blocks by Muon (torch >= 2.9), everything else by AdamW."""
    lr: float = 1e-4
    """Peak rate of AdamW."""
    muon_lr: float = 3e-3
    """Peak rate of Muon's share."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Of AdamW, each in [0, 1)."""
    weight_decay: float = 1e-4
    """Not applied to biases, norms and embeddings."""
    warmup: int = 5_000
    """Steps of the linear rise to the peak."""
    final_lr_share: float = 0.1
    """Of the peak, at the last step."""
    clip: float = 1.0
    """Gradient norm limit; 0 does not clip."""

    def __post_init__(self) -> None:
        require_range("optim.lr", self.lr, 0, open_low=True)
        require_range("optim.muon_lr", self.muon_lr, 0, open_low=True)
        for beta in self.betas:
            require(0 <= beta < 1, f"optim.betas {self.betas}: each must be in [0, 1)")
        for name in ("weight_decay", "warmup", "clip"):
            require_range(f"optim.{name}", getattr(self, name), 0)
        require_range("optim.final_lr_share", self.final_lr_share, 0, 1)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The run: length, batch, precision, what is written and when."""

    out: str = may_change("")
    """Run folder; empty: ``runs/NAME`` after the preset. The same folder is continued."""
    steps: int = may_change(500_000)
    """Optimiser steps."""
    batch_size: int = 256
    """Images an optimiser step, over all processes and accumulation."""
    accumulate: int = may_change(1)
    """Micro-batches an optimiser step on each process."""
    seed: int = 0
    """Of the weights, the order of the data and all that is drawn at random."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """``bf16``: matrix products under autocast; weights stay in float32."""
    ema: float = 0.999
    """Decay of the weights' moving average; 0 keeps none."""
    grad_checkpointing: bool = may_change(False)
    """Compute activations again in the backward pass: less memory, a third more time."""
    compile: bool = may_change(False)
    """Compile the network's blocks before the first step."""
    log_every: int = may_change(50)
    """Steps between two lines of log.jsonl."""
    save_every: int = may_change(5_000)
    """Steps between two checkpoints."""
    save_minutes: float = may_change(5.0)
    """Also save when this many minutes have gone by; 0: by steps alone."""
    keep: int = may_change(2)
    """Newest checkpoints kept."""
    sheet_every: int = may_change(5_000)
    """Steps between reconstruction sheets."""
    validate_every: int = may_change(0)
    """Tokenizers: steps between two measurements of the averaged network on the validation split
    (PSNR, SSIM, LPIPS, a Frechet distance); 0 measures nothing."""
    validate_images: int = may_change(1_000)
    """Validation pictures measured, spread evenly over the split."""
    max_bad_steps: int = may_change(20)
    """Stop after this many non-finite steps in a row; each is skipped and counted."""
    shard: bool = may_change(False)
    """Generators: share weights, gradients and optimiser states out over the processes (FSDP2)
    instead of copying them to each."""
    wait_minutes: float = may_change(10.0)
    """Stop when the next batch has not come for this long; 0 waits for ever."""
    tracker: TrackerName = may_change("tensorboard")
    """Also gets the scalars of log.jsonl and the sheets. ``wandb`` and ``trackio`` are packages of
    their own; ``none``: files alone."""
    project: str = may_change("textok")
    """Of ``wandb`` or ``trackio``, where the run has the name of its folder."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "log_every", "save_every", "keep"):
            require_range(f"run.{name}", getattr(self, name), 1)
        for name in ("sheet_every", "max_bad_steps"):
            require_range(f"run.{name}", getattr(self, name), 1)
        require_range("run.validate_every", self.validate_every, 0)
        require_range("run.validate_images", self.validate_images, 2)
        require(bool(self.project.strip()), "run.project is empty: name one, such as textok")
        require_range("run.seed", self.seed, 0)
        require_range("run.save_minutes", self.save_minutes, 0)
        require_range("run.wait_minutes", self.wait_minutes, 0, 525_600)
        require_range("run.batch_size", self.batch_size, 1, MOST_AT_ONCE)
        require(0 <= self.ema < 1, f"run.ema is {self.ema}: it must be in [0, 1)")
        require(
            self.batch_size % self.accumulate == 0,
            f"run.batch_size {self.batch_size} is not a multiple of run.accumulate "
            f"{self.accumulate}",
        )


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerConfig:
    """All of ``textok train tokenizer``."""

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    text: TextConfig = field(default_factory=TextConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    init: str = ""
    """Tokenizer folder or hub name to start from (another image size interpolates positions)."""
    vqgan_path: str = ""
    """VQGAN folder or hub name whose decoder a new ``output: codes`` starts with, and whose codes
    ``loss.codes`` asks for."""
    freeze_encoder: bool = False
    """Leave encoder, bottleneck and latent queries as ``init`` has them (stage 2)."""

    def __post_init__(self) -> None:
        by_codes = self.tokenizer.output == "codes"
        require(not self.run.shard, NO_SHARD)
        require(
            by_codes or self.loss.codes == 0,
            "loss.codes is above 0 but tokenizer.output is 'pixels': set it to 'codes'",
        )
        require(
            not self.freeze_encoder or self.init != "",
            "freeze_encoder: name a trained tokenizer in init",
        )
        require(
            not by_codes or self.vqgan_path != "" or (self.init != "" and self.loss.codes == 0),
            "vqgan_path is empty: name the VQGAN whose codes the decoder learns",
        )
        alignment = self.loss.alignment
        if alignment.weight > 0:
            alignment.block_of(self.tokenizer.decoder.depth)
            require(
                not (alignment.adaptive and self.freeze_encoder),
                "loss.alignment.adaptive compares gradients at the encoder's last layer, which "
                "freeze_encoder leaves as it is: set one of them to false",
            )
        if self.tokenizer.decoding == "flow":
            require(
                self.loss.frechet.weight == 0,
                "loss.frechet.weight is above 0 but tokenizer.decoding is 'flow': training draws "
                "no finished pictures, set it to 0",
            )
            require(
                self.loss.gan.weight == 0,
                "loss.gan.weight is above 0 but tokenizer.decoding is 'flow': a decoder that "
                "samples needs no discriminator, set it to 0",
            )
            require(self.loss.l2 > 0, "loss.l2 is 0: in flow decoding it weighs the velocity")
        if self.tokenizer.text != "none":
            require(
                self.text.out_tokens <= self.tokenizer.text_tokens,
                f"text gives up to {self.text.out_tokens} tokens a caption but "
                f"tokenizer.text_tokens is {self.tokenizer.text_tokens}: raise the latter",
            )


@dataclass(frozen=True, kw_only=True)
class TrainVQGANConfig:
    """All of ``textok train vqgan``."""

    vqgan: VQGANConfig = field(default_factory=VQGANConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    init: str = ""
    """VQGAN folder or hub name to start from."""

    def __post_init__(self) -> None:
        require(not self.run.shard, NO_SHARD)
        require(
            self.loss.pixels, "loss: l2, l1, perceptual and logits are all 0: a VQGAN draws pixels"
        )
        require(self.loss.codes == 0, "loss.codes is for tokenizers: set it to 0")
        require(
            self.loss.alignment.weight == 0,
            "loss.alignment is for tokenizers: set loss.alignment.weight to 0",
        )
        require(
            self.loss.frechet.weight == 0,
            "loss.frechet is for tokenizers: set loss.frechet.weight to 0",
        )
        require(
            not (self.run.compile and self.loss.gan.adaptive),
            "run.compile compiles a VQGAN whole, while loss.gan.adaptive wants the gradient of its "
            "last layer alone: set one of them to false",
        )
        require(
            not self.run.grad_checkpointing,
            "run.grad_checkpointing is for transformers: a VQGAN has none; raise run.accumulate",
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
    """Pictures drawn at each sheet, at most one a held-out row, for a Frechet distance to the
    reconstructions of these rows; 0 draws none."""
    init: str = ""
    """Pipeline folder or hub name whose generator training starts from."""

    def __post_init__(self) -> None:
        require(self.run.validate_every == 0, NO_VALIDATION)
        require_range("fd_images", self.fd_images, 0)
        require(self.fd_images != 1, "fd_images is 1: a Frechet distance needs at least 2")


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
    """How sheets are drawn, and the default of the trained pipeline; for ``meanflow`` one step of
    its own sampler where nothing is said."""
    frechet: GeneratorFrechetConfig = field(default_factory=GeneratorFrechetConfig)
    """Post-training on drawn pictures, for few steps, instead of the objective's own loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.generator.objective.name == "meanflow" and self.sampling == SamplingConfig():
            own = one_step(max_guidance=self.generator.objective.max_guidance)
            object.__setattr__(self, "sampling", own)
        self.generator.check_sampling(self.sampling)
        self.frechet.check_generator(self.generator, init=self.init, fd_images=self.fd_images)
        require(
            not self.sampling.guidance.guide,
            "sampling.guidance.guide: the sheets of a training are drawn without a guide; leave it "
            "out, and give it when drawing, as `textok generate --guide`",
        )


@dataclass(frozen=True, kw_only=True)
class TrainMaskGITConfig(TrainOnLatentsConfig):
    """All of ``textok train maskgit``."""

    generator: MaskGITConfig = field(default_factory=MaskGITConfig)
    loss: MaskedLossConfig = field(default_factory=MaskedLossConfig)
    sampling: SamplingConfig = field(
        default_factory=lambda: SamplingConfig(sampler="maskgit", steps=8), metadata=MAY_CHANGE
    )
    """How sheets are drawn, and the default of the trained pipeline."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.generator.check_sampling(self.sampling)
