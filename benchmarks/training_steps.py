"""Training steps as `textok train` takes them, over random images, latents, texts and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textok.config import (
    LossConfig,
    TokenizerConfig,
    TrainGeneratorConfig,
    TrainTokenizerConfig,
    ViTConfig,
)
from textok.config.generator import GeneratorConfig
from textok.generator import DiT
from textok.latents import LatentScale
from textok.losses.discriminator import build_discriminator
from textok.losses.perceptual import PerceptualLoss
from textok.losses.reconstruction import ReconstructionLoss
from textok.pipeline import PipelineParts
from textok.text import TextFeaturesSource
from textok.tokenizer import Tokenizer
from textok.train.distributed import join_distributed
from textok.train.generation_validator import GenerationValidator
from textok.train.generator import generator_objective
from textok.train.on_latents import generator_task
from textok.train.reconstruction_validator import ReconstructionValidator
from textok.train.tokenizer import tokenizer_task
from textok.types import Batch, LatentBatch, Latents, TextFeatures

Task = Literal["tokenizer", "generator"]
Config = TrainTokenizerConfig | TrainGeneratorConfig
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """One optimiser step of one process, on the same micro-batch each time."""

    task: Any
    given: list[Any]
    number: int
    """The tokenizer's is one of those in which every part of the loss is on."""

    def __call__(self) -> object:
        return self.task.step(self.given, self.number)


def training_step(config: Config) -> TrainingStep:
    """The step that ``config`` trains by."""
    if isinstance(config, TrainTokenizerConfig):
        return _tokenizer_step(config)
    return _generator_step(config)


def _tokenizer_step(config: TrainTokenizerConfig) -> TrainingStep:
    shape, rows = config.tokenizer, config.run.batch_size
    images = torch.rand(rows, 3, shape.image_size, shape.image_size) * 2 - 1
    batch = Batch(images=images, captions=[""] * rows, keys=[str(row) for row in range(rows)])
    run = config.run
    distributed = join_distributed(batch_size=run.batch_size, accumulate=run.accumulate)
    text = None
    if shape.text != "none":
        states = _random_text(rows, shape.text_tokens, shape.text_width)
        text = _FixedText(states.to(distributed.device))

    tokenizer = Tokenizer(shape)
    tokenizer.set_grad_checkpointing(run.grad_checkpointing)
    task = tokenizer_task(
        config,
        tokenizer,
        loss=ReconstructionLoss(config.loss, perceptual=_perceptual(config.loss)),
        discriminator=build_discriminator(config.loss.gan, image_size=shape.image_size),
        text=text,
        vqgan_teacher=None,
        # It is called where sheets are made, which no step does.
        validator=ReconstructionValidator.__new__(ReconstructionValidator),
        distributed=distributed,
    )
    number = max(config.loss.gan.start, config.loss.perceptual_start)
    given = [batch.to(distributed.device)]
    return TrainingStep(task=task, given=given, number=number)


def _generator_step(config: TrainGeneratorConfig) -> TrainingStep:
    shape, rows = config.generator, config.run.batch_size
    size = (rows, shape.num_tokens, shape.channels)
    text = None
    if shape.condition == "text":
        text = _random_text(rows, shape.text_tokens, shape.text_width)
    batch = LatentBatch(
        latents=Latents(mean=torch.randn(size), logvar=torch.full(size, -5.0)),
        captions=[""] * rows,
        keys=[str(row) for row in range(rows)],
        labels=None if text is not None else torch.arange(rows) % shape.classes,
        text=text,
    )
    run = config.run
    distributed = join_distributed(batch_size=run.batch_size, accumulate=run.accumulate)
    scale = LatentScale(torch.zeros(shape.channels), torch.ones(shape.channels))
    scale = scale.to(distributed.device)
    generator = DiT(shape)
    generator.set_grad_checkpointing(run.grad_checkpointing)
    task = generator_task(
        config,
        PipelineParts(
            tokenizer=_idle_tokenizer(shape),
            generator=generator,
            scale=scale,
            text=config.text if shape.condition == "text" else None,
            classes=[str(number) for number in range(shape.classes)],
        ),
        objective=generator_objective(config, scale),
        # It is called where sheets are made, which no step does.
        validator=GenerationValidator.__new__(GenerationValidator),
        distributed=distributed,
    )
    return TrainingStep(task=task, given=[batch.to(distributed.device)], number=0)


def _idle_tokenizer(generator: GeneratorConfig) -> Tokenizer:
    """The smallest that a pipeline of ``generator`` may hold; no step of training uses it."""
    tiny = ViTConfig(width=8, depth=1, heads=1)
    return Tokenizer(
        TokenizerConfig(
            image_size=8,
            patch_size=8,
            num_tokens=generator.num_tokens,
            channels=generator.channels,
            text="none",
            encoder=tiny,
            decoder=tiny,
        )
    )


class _FixedText(TextFeaturesSource):
    """The same features for any captions."""

    def __init__(self, features: TextFeatures) -> None:
        self._features = features

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        return self._features


def _random_text(rows: int, tokens: int, width: int) -> TextFeatures:
    """About half of the tokens, a different number in each row, are padding."""
    lengths = torch.linspace(1, tokens, rows + 2)[1:-1].round()
    return TextFeatures(
        states=torch.randn(rows, tokens, width), mask=torch.arange(tokens) < lengths[:, None]
    )


def _perceptual(loss: LossConfig) -> nn.Module | None:
    """LPIPS with random weights, which are not downloaded for this; None: what the loss names."""
    return RandomLPIPS() if loss.perceptual and loss.perceptual_net == "lpips_vgg" else None


class RandomLPIPS(PerceptualLoss):
    """The layers of LPIPS with VGG16 (arXiv 1801.03924, section 3.2): the cost, not the weights."""

    def __init__(self) -> None:
        super().__init__()
        widths, stages = 3, []
        for stage in VGG16:
            layers: list[nn.Module] = [] if widths == 3 else [nn.MaxPool2d(2)]
            for before, after in pairwise((widths, *stage)):
                layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            stages.append(nn.Sequential(*layers))
            widths = stage[-1]
        self.stages = nn.ModuleList(stages)
        self.requires_grad_(False)

    def distance(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        total = x_B3HW.new_zeros(())
        x, y = x_B3HW, y_B3HW
        for stage in self.stages:
            x, y = stage(x), stage(y)
            apart = F.normalize(x, dim=1) - F.normalize(y, dim=1)
            total = total + apart.square().sum(dim=1).mean()
        return total
