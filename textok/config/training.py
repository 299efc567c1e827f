"""How models are trained: optimisers, the run itself, all settings of each training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from textok.config.check import require, require_range
from textok.config.data import MOST_AT_ONCE, DataConfig, TextConfig
from textok.config.lora import LoraConfig
from textok.config.losses import LossConfig
from textok.config.resume import may_change
from textok.config.tokenizer import TokenizerConfig
from textok.config.vqgan import VQGANConfig

INIT_TRAINING_STATE = "init_training_state: name the trained model in init"
NO_SHARD = "run.shard is for generators: the networks of tokenizers fit on each GPU, leave it out"
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
    """Compile the network's blocks before the first step, and the discriminator and the networks
    of the loss unless a weight is adaptive."""
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
    """Validation images measured, spread evenly over the split."""
    max_bad_steps: int = may_change(20)
    """Stop after this many non-finite steps in a row; each is skipped and counted."""
    shard: bool = may_change(False)
    """Generators: share weights, gradients and optimiser states out over the processes (FSDP2)
    instead of copying them to each."""
    publish_training_state: bool = may_change(False)
    """Beside the model also what another training needs to go on from it (``init_training_state``):
    weights before averaging, discriminator and optimiser states, in all some 3 times the size of
    the model and of the discriminator."""
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
    init_training_state: bool = False
    """Also go on with the discriminator and the optimiser states that ``init`` was published with
    (``run.publish_training_state``), as far as they fit."""
    vqgan_path: str = ""
    """VQGAN folder or hub name whose decoder a new ``output: codes`` starts with, and whose codes
    ``loss.codes`` asks for."""
    freeze_encoder: bool = False
    """Leave encoder, bottleneck and latent queries as ``init`` has them (stage 2)."""
    freeze_decoder: bool = False
    """Leave the decoder, a VQGAN's too, as ``init`` has it."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Train adapters in the decoder, and nothing else."""

    def __post_init__(self) -> None:
        by_codes = self.tokenizer.output == "codes"
        require(not self.run.shard, NO_SHARD)
        require(not self.init_training_state or self.init != "", INIT_TRAINING_STATE)
        require(
            by_codes or self.loss.codes == 0,
            "loss.codes is above 0 but tokenizer.output is 'pixels': set it to 'codes'",
        )
        self._check_frozen()
        require(
            not by_codes or self.vqgan_path != "" or (self.init != "" and self.loss.codes == 0),
            "vqgan_path is empty: name the VQGAN whose codes the decoder learns",
        )
        alignment = self.loss.alignment
        if alignment.weight > 0:
            alignment.block_of(self.tokenizer.decoder.depth)
        self.loss.distillation.check(
            self.tokenizer,
            init=self.init,
            encoder_frozen=self.freeze_encoder or self.lora.on,
        )
        require(
            not (self.loss.distillation.on and alignment.weight > 0),
            "loss.alignment compares with the training image, which a distilled decoder does not "
            "sample: set loss.alignment.weight or loss.distillation.steps to 0",
        )
        if self.tokenizer.decoding == "flow":
            require(
                self.loss.frechet.weight == 0,
                "loss.frechet.weight is above 0 but tokenizer.decoding is 'flow': training makes "
                "no finished images, set it to 0",
            )
            require(
                self.loss.gan.weight == 0,
                "loss.gan.weight is above 0 but tokenizer.decoding is 'flow': a decoder that "
                "samples needs no discriminator, set it to 0",
            )
            self.tokenizer.require_guidable(
                "tokenizer.sampling.caption_guidance", self.tokenizer.sampling.caption_guidance
            )
            require(self.loss.l2 > 0, "loss.l2 is 0: in flow decoding it weighs the velocity")
        if self.tokenizer.text != "none":
            require(
                self.text.out_tokens <= self.tokenizer.text_tokens,
                f"text gives up to {self.text.out_tokens} tokens a caption but "
                f"tokenizer.text_tokens is {self.tokenizer.text_tokens}: raise the latter",
            )

    def _check_frozen(self) -> None:
        """Raise ValueError where what is frozen was not trained, or has to have gradients."""
        frozen = {
            "freeze_encoder": self.freeze_encoder,
            "freeze_decoder": self.freeze_decoder,
        }
        for name, on in frozen.items():
            require(not on or self.init != "", f"{name}: name a trained tokenizer in init")
        require(
            not all(frozen.values()), "freeze_encoder and freeze_decoder leave nothing to train"
        )
        self.lora.check(self.init, self.run)
        require(
            not (self.lora.on and self.freeze_decoder),
            "freeze_decoder leaves no decoder to adapt: set it to false, or lora.rank to 0",
        )
        alignment, gan = self.loss.alignment, self.loss.gan
        adapters = "lora.rank above 0"
        for on, by in ((self.freeze_encoder, "freeze_encoder"), (self.lora.on, adapters)):
            require(
                not (on and alignment.weight > 0 and alignment.adaptive),
                "loss.alignment.adaptive compares gradients at the encoder's last layer, which "
                f"{by} leaves as it is: set one of them to {'false' if by != adapters else '0'}",
            )
        for on, by in ((self.freeze_decoder, "freeze_decoder"), (self.lora.on, adapters)):
            require(
                not (on and gan.weight > 0 and gan.adaptive),
                "loss.gan.adaptive compares gradients at the decoder's last layer, which "
                f"{by} leaves as it is: set loss.gan.adaptive to false",
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
    init_training_state: bool = False
    """Also go on with the discriminator and the optimiser states that ``init`` was published with
    (``run.publish_training_state``), as far as they fit."""

    def __post_init__(self) -> None:
        require(not self.run.shard, NO_SHARD)
        require(not self.init_training_state or self.init != "", INIT_TRAINING_STATE)
        require(
            self.loss.pixels,
            "loss: l2, l1, perceptual and logits are all 0: a VQGAN decodes pixels",
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
            not self.loss.distillation.on,
            "loss.distillation is for tokenizers: set loss.distillation.steps to 0",
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
