"""Tasks on one CPU process, for tests of single training steps. Not a test module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional

from textok.config import TrainGeneratorConfig, TrainMaskGITConfig, TrainTokenizerConfig
from textok.generator import DiT, MaskGIT, TokenGenerator
from textok.latents import LatentSet
from textok.losses.discriminator import build_discriminator
from textok.losses.reconstruction import ReconstructionLoss
from textok.metrics.feature_network import FeatureNetwork
from textok.pipeline import PipelineParts
from textok.text import TextFeaturesSource
from textok.tokenizer import Tokenizer
from textok.train.distillation import open_distillation
from textok.train.distributed import Distributed
from textok.train.feature_alignment import open_generator_alignment, open_tokenizer_alignment
from textok.train.generation_validator import GenerationValidator
from textok.train.generator import generator_objective
from textok.train.initial_generator import build_generator
from textok.train.maskgit import MaskedPrediction
from textok.train.on_latents import (
    build_parts,
    generator_task,
    open_both,
    random_source,
)
from textok.train.reconstruction_validator import ReconstructionValidator
from textok.train.task import TrainingTask
from textok.train.tokenizer import build_tokenizer, tokenizer_task
from textok.train.tokenizer_objective import TokenizerRoundTrip
from textok.types import Batch
from textok.vqgan import VQGAN

Settings = TrainGeneratorConfig | TrainMaskGITConfig


def one_process() -> Distributed:
    return Distributed(Accelerator(cpu=True))


def images(size: int, fill: float | None = None, *, side: int = 16) -> Batch:
    """Random images with captions of different lengths; ``fill`` is one of the first's pixels."""
    draws = torch.Generator().manual_seed(size)
    pixels = torch.rand(size, 3, side, side, generator=draws) * 2 - 1
    if fill is not None:
        pixels[0, 0, 0, 0] = fill
    captions = ["a" * index for index in range(size)]
    return Batch(images=pixels, captions=captions, keys=[str(index) for index in range(size)])


def make_tokenizer_task(
    config: TrainTokenizerConfig, *, text: TextFeaturesSource | None = None
) -> TrainingTask[Tokenizer]:
    """As ``train_tokenizer`` does; every call with the same initial weights."""
    torch.manual_seed(0)
    device, side = torch.device("cpu"), config.tokenizer.image_size
    distributed = one_process()
    return tokenizer_task(
        config,
        build_tokenizer(config),
        loss=ReconstructionLoss(config.loss),
        discriminator=build_discriminator(config.loss.gan, image_size=side),
        text=text,
        vqgan_teacher=VQGAN.from_pretrained(config.vqgan_path) if config.loss.codes else None,
        validator=ReconstructionValidator(
            TokenizerRoundTrip(text, device=device),
            preview=images(2, side=side),
            measured=None,
            device=device,
        ),
        distributed=distributed,
        alignment=open_tokenizer_alignment(config, distributed),
        distillation=open_distillation(config, device),
    )


def make_objective(config: Settings) -> Any:
    if isinstance(config, TrainMaskGITConfig):
        return MaskedPrediction(
            config.loss, num_tokens=config.generator.num_tokens, source=random_source(config)
        )
    latents = open_both(config).train
    alignment = open_generator_alignment(config, latents.index.feature_width, one_process())
    return generator_objective(config, latents.scale, alignment)


def make_parts(config: Settings) -> PipelineParts:
    """The pipeline that a generator is trained in."""
    latents = open_both(config)
    kind: Callable[[], TokenGenerator]
    if isinstance(config, TrainMaskGITConfig):
        kind = partial(MaskGIT, config.generator)
    else:
        kind = partial(DiT, config.generator)
    return build_parts(config, latents, build_generator(config, kind))


def make_validator(
    config: Settings,
    parts: PipelineParts,
    *,
    latents: LatentSet | None = None,
    text: TextFeaturesSource | None = None,
) -> GenerationValidator:
    """On ``latents``, or those that are trained on."""
    return GenerationValidator(
        make_objective(config),
        latents=latents or open_both(config).train,
        parts=parts,
        prompts=config.prompts,
        fd_images=config.fd_images,
        prompt_text=text,
        decoder_text=None,
        distributed=one_process(),
    )


def make_generator_task(
    config: Settings, *, text: TextFeaturesSource | None = None
) -> TrainingTask[TokenGenerator]:
    """As ``train_generator`` and ``train_maskgit`` do; each call with the same initial weights."""
    torch.manual_seed(0)
    parts = make_parts(config)
    objective = make_objective(config)
    alignment = getattr(objective, "alignment", None)
    return generator_task(
        config,
        parts,
        objective=objective,
        projection=None if alignment is None else alignment.projection,
        validator=make_validator(config, parts, text=text),
        distributed=one_process(),
    )


def pixel_means(name: str, **_: Any) -> FeatureNetwork:
    """Means of 4 x 4 pixels, and a map of those of 8 x 8."""
    return FeatureNetwork(
        name=name,
        metric="FD",
        width=48,
        protocol="",
        extract=lambda images: functional.avg_pool2d(images, 4).flatten(1),
        with_gradient=lambda images: functional.avg_pool2d(images, 4).flatten(1),
        feature_map=lambda images: functional.avg_pool2d(images, 8),
    )


def aligned_generator(
    config: TrainGeneratorConfig, latents: Path, **changes: Any
) -> TrainGeneratorConfig:
    """``config`` on latents with features, aligned with them."""
    alignment = replace(config.generator.alignment, **{"weight": 0.5, **changes})
    return replace(
        config,
        generator=replace(config.generator, alignment=alignment),
        latents=replace(config.latents, path=str(latents)),
    )


def flat(state: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten().float() for value in state.values()]).clone()
