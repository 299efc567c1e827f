"""What a tokenizer or a VQGAN is trained against: weights of the losses, and the discriminator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from textok.config.alignment import TokenizerAlignmentConfig
from textok.config.check import require, require_range
from textok.config.distillation import DistillationConfig
from textok.config.frechet import FrechetConfig

MOST_CHANNELS = 8192
"""Of a discriminator: more is a mistake, and more than fits into memory."""


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """The adversarial part; ``weight`` 0 leaves it out and builds no discriminator."""

    weight: float = 0.1
    """Of the adversarial loss in the network's; 0 builds no discriminator."""
    adaptive: bool = False
    """Multiply ``weight`` by the ratio of the gradients of the other losses and of the adversarial
    one at the last layer (VQGAN, arXiv 2012.09841, eq. 7), anew for each micro-batch."""
    start: int = 20_000
    """First optimiser step at which the network hears the discriminator."""
    discriminator_start: int | None = None
    """First optimiser step at which the discriminator trains, at most ``start``; empty: with
    ``start``."""
    loss: Literal["hinge", "non_saturating"] = "hinge"
    """Of both sides; TiTok and VQGAN take ``hinge``."""
    discriminator: Literal["stylegan", "patchgan"] = "stylegan"
    """``stylegan`` judges an image, ``patchgan`` each of up to 16 x 16 places."""
    base: int = 512
    """Largest channel count of the discriminator (StyleGAN: 512 gives about 24 M at 256 px)."""
    lecam: float = 0.001
    """Weight of the LeCAM regulariser (Tseng et al. 2021)."""
    r1: float = 0.0
    """Weight of the R1 gradient penalty on real images (arXiv 1801.04406, eq. 9: half of it times
    the mean squared gradient norm); 0 leaves it out."""
    r1_every: int = 1
    """Steps of the discriminator between two penalties, each weighted by this number (lazy
    regularisation, StyleGAN2, takes 16)."""
    lr: float = 1e-4
    """Peak rate of the discriminator's AdamW."""
    betas: tuple[float, float] | None = None
    """Of the discriminator's AdamW, each in [0, 1); empty: ``optim.betas``."""
    weight_decay: float | None = None
    """Of the discriminator's AdamW; empty: ``optim.weight_decay``."""

    def __post_init__(self) -> None:
        for name in ("weight", "start", "lecam", "r1"):
            require_range(f"loss.gan.{name}", getattr(self, name), 0)
        require_range("loss.gan.r1_every", self.r1_every, 1)
        require_range("loss.gan.base", self.base, 8, MOST_CHANNELS)
        require_range("loss.gan.lr", self.lr, 0, open_low=True)
        for beta in self.betas or ():
            require(0 <= beta < 1, f"loss.gan.betas {self.betas}: each must be in [0, 1)")
        if self.weight_decay is not None:
            require_range("loss.gan.weight_decay", self.weight_decay, 0)
        require(
            0 <= self.first_step <= self.start,
            f"loss.gan.discriminator_start is {self.discriminator_start}: it must be >= 0 and at "
            f"most loss.gan.start, {self.start}",
        )

    @property
    def first_step(self) -> int:
        """The first optimiser step at which the discriminator trains."""
        return self.start if self.discriminator_start is None else self.discriminator_start


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the reconstruction loss; zero leaves a term out."""

    l2: float = 1.0
    """Of the mean squared error of pixels in [-1, 1]; of the velocity's in flow decoding."""
    l1: float = 0.0
    """Of the mean absolute error of pixels in [-1, 1]."""
    perceptual: float = 0.1
    """Of the distance in the features of ``perceptual_net``."""
    perceptual_net: Literal["efficientnet_lite0", "lpips_alex", "lpips_vgg", "convnext"] = (
        "efficientnet_lite0"
    )
    """LPIPS reads the file of `textok convert lpips`; ``convnext`` is TiTok's."""
    perceptual_start: int = 0
    """First optimiser step at which the perceptual losses (``logits`` too) are heard: steps without
    them are cheaper."""
    perceptual_phases: int = 1
    """Shift both images by 0 to this many pixels less one along each axis, another shift each step:
    without it a network whose first layer has a stride leaves a grid in the output."""
    perceptual_path: str = ""
    """Folder or hub name of the perceptual network's weights, where the network takes one."""
    logits: float = 0.0
    """Of the mean squared error of the 1,000 logits of ``logits_net``, beside ``perceptual``."""
    logits_net: Literal["convnext", "resnet50", "efficientnet_lite0"] = "convnext"
    """ImageNet classifier, at 224 px; ``efficientnet_lite0`` comes with the package."""
    logits_path: str = ""
    """Folder or hub name of that classifier's weights; empty: its published ones."""
    kl: float = 1e-6
    """Weight of the KL divergence, summed over K x C and averaged over images."""
    codebook: float = 1.0
    """``vq``: weight of moving the codes towards what the encoder says."""
    commitment: float = 0.25
    """``vq``: weight of moving what the encoder says towards the codes."""
    codes: float = 0.0
    """``output: codes``: weight of the cross-entropy to the codes of a frozen VQGAN (stage 1)."""
    gan: GanConfig = field(default_factory=GanConfig)
    alignment: TokenizerAlignmentConfig = field(default_factory=TokenizerAlignmentConfig)
    """Tokenizers: of the decoder's patch states with the features of a frozen network."""

    frechet: FrechetConfig = field(default_factory=FrechetConfig)
    """Tokenizers: of the distance of all reconstructions to the training images."""
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    """Flow decoders: learn what ``init`` samples in many steps, to be sampled in few."""

    def __post_init__(self) -> None:
        for name in ("l2", "l1", "perceptual", "perceptual_start", "logits", "kl"):
            require_range(f"loss.{name}", getattr(self, name), 0)
        for name in ("codebook", "commitment", "codes"):
            require_range(f"loss.{name}", getattr(self, name), 0)
        require_range("loss.perceptual_phases", self.perceptual_phases, 1)
        require(
            self.pixels or self.codes > 0,
            "loss: l2, l1, perceptual, logits and codes are all 0: nothing to reconstruct towards",
        )
        require(
            self.pixels or self.gan.weight == 0,
            "loss.gan.weight is above 0 but l2, l1, perceptual and logits are 0: no image is "
            "decoded; set it to 0",
        )
        require(
            self.pixels or self.frechet.weight == 0,
            "loss.frechet.weight is above 0 but l2, l1, perceptual and logits are 0: no image is "
            "decoded; set it to 0",
        )
        require(
            self.l2 + self.l1 + self.codes > 0 or self.perceptual_start == 0,
            f"loss.perceptual_start is {self.perceptual_start} but l2 and l1 are 0: nothing to "
            "reconstruct towards before that step",
        )

    @property
    def pixels(self) -> bool:
        """Whether images are compared, and so have to be decoded."""
        return self.l2 + self.l1 + self.perceptual + self.logits > 0

    def unheard(self, steps: int) -> list[str]:
        """A line for each loss that begins only after a training of so many steps."""
        losses = {
            "gan": (self.gan.weight, self.gan.start, "loss.gan.start"),
            "perceptual": (self.perceptual, self.perceptual_start, "loss.perceptual_start"),
            "logits": (self.logits, self.perceptual_start, "loss.perceptual_start"),
        }
        return [
            f"loss.{name} is never heard: {setting} is {start:,}, run.steps is {steps:,}"
            for name, (weight, start, setting) in losses.items()
            if weight > 0 and start >= steps
        ]
