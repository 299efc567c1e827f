"""The Frechet distance of generated images to real ones as a loss (FD-loss, arXiv 2604.28190)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from textok.config.check import require, require_range
from textok.config.data import FOR_TRAINING, DataConfig
from textok.config.generator import GeneratorConfig
from textok.config.objective import MOST_GUIDANCE
from textok.config.resume import may_change
from textok.config.run import RunConfig

LossNetwork = Literal["vgg16", "efficientnet_lite0", "alexnet"]
"""Networks whose features pass gradients to the images."""
UNREAD = (*FOR_TRAINING, "data.captions", "data.class_captions", "data.allow_uncaptioned")
"""Settings of images that their statistics do not depend on."""


@dataclass(frozen=True, kw_only=True)
class FrechetConfig:
    """A Frechet distance as a loss: statistics over a population, gradients through the batch."""

    SETTING: ClassVar[str] = "loss.frechet"

    weight: float = 0.0
    """Of the distance, as a share of the variance of the real features; 0 leaves it out."""
    networks: tuple[LossNetwork, ...] = ("vgg16",)
    """Whose features are compared; of several the mean counts. Judge in others: a distance in a
    network that was trained in says little."""
    population: int = 10_000
    """Images that mean and covariance are taken over, the latest made. The first
    population / batch_size steps only collect them, without training."""
    every: int = 10
    """Steps between two computations of the direction of descent from mean and covariance."""
    statistics: str = may_change("")
    """Folder that keeps mean and covariance of the real images, also for other runs; empty:
    ``real-statistics`` in the run folder."""

    def __post_init__(self) -> None:
        require_range(f"{self.SETTING}.weight", self.weight, 0)
        require_range(f"{self.SETTING}.population", self.population, 2, 10**9)
        require_range(f"{self.SETTING}.every", self.every, 1)
        require(
            not Path(self.statistics).is_file(),
            f"{self.SETTING}.statistics {self.statistics} is a file: name a folder",
        )
        if self.weight > 0:
            names = self.networks
            require(len(names) > 0, f"{self.SETTING}.networks is empty: name one, as vgg16")
            require(
                len(set(names)) == len(names),
                f"{self.SETTING}.networks {', '.join(names)}: one comes twice",
            )

    def check_filled(self, run: RunConfig) -> None:
        """Raise ValueError for a training that ends before there are as many images.

        Not asked of the settings of an interrupted run, which may get more steps.
        """
        require(
            self.weight == 0 or self.population <= (run.steps - 1) * run.batch_size,
            f"{self.SETTING}.population is {self.population:,}, which run.steps {run.steps:,} of "
            f"run.batch_size {run.batch_size:,} images only collect: nothing would be trained; "
            "lower it, or raise run.steps",
        )


@dataclass(frozen=True, kw_only=True)
class GeneratorFrechetConfig(FrechetConfig):
    """Post-training of a generator: its images, generated in few steps, against real ones."""

    SETTING: ClassVar[str] = "frechet"

    data: DataConfig = field(default_factory=DataConfig)
    """The real images: those whose latents are trained on."""
    steps: int = 1
    """Of the sampler in training; the trained pipeline takes as many."""
    guidance: float = 1.0
    """Scale of classifier-free guidance in training and of the trained pipeline; other than 1 it
    doubles the cost."""
    gradient: Literal["all", "last"] = "all"
    """Steps of the sampler that gradients go through: all, or the last alone, which costs less."""
    own: float = 0.0
    """Weight of the loss of ``generator.objective`` beside the distance; 0 leaves it out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("frechet.steps", self.steps, 1, 1000)
        require_range("frechet.guidance", self.guidance, 0, MOST_GUIDANCE)
        require_range("frechet.own", self.own, 0)
        require(
            self.weight == 0 or self.data.path != "",
            "frechet.data.path is empty: name the images that the latents were made of",
        )

    def check_generator(self, generator: GeneratorConfig, *, init: str, fd_images: int) -> None:
        """Raise ValueError for what cannot be post-trained, or not be judged."""
        if self.weight == 0:
            return
        require(
            init != "",
            "init is empty but frechet.weight is above 0: name the pipeline whose generator is "
            "post-trained",
        )
        require(
            generator.dropout == 0,
            f"generator.dropout is {generator.dropout:g} but frechet.weight is above 0: images "
            "are sampled without dropout, set it to 0",
        )
        most = generator.objective.max_guidance
        require(
            generator.objective.name != "meanflow" or 1 <= self.guidance <= most,
            f"frechet.guidance is {self.guidance:g}: a generator trained by 'meanflow' has learnt "
            f"1 (none) to {most:g}",
        )
        require(
            self.own > 0 or generator.alignment.weight == 0,
            "generator.alignment.weight is above 0 but frechet.own is 0: the alignment belongs to "
            "the objective's own loss, set it to 0",
        )
        require(
            fd_images == 0 or "efficientnet_lite0" not in self.networks,
            "fd_images measures in efficientnet_lite0, which is among frechet.networks: take "
            "another network, or set fd_images to 0",
        )
