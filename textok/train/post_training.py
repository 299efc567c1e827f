"""Post-training of a generator by a Frechet loss on the images that it generates.

Legend: B micro-batch, S sampling steps, K latent tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from textok.config import GuidanceConfig, TrainGeneratorConfig
from textok.config.frechet import GeneratorFrechetConfig
from textok.config.generator import GeneratorConfig, SamplingConfig
from textok.data.images import CaptionedImages, open_captioned_images
from textok.generator import DiT
from textok.generator.mean_flow import MeanFlowCondition, draw_mean_flow
from textok.generator.sample import draw
from textok.losses.frechet import FrechetLoss
from textok.metrics.feature_network import FeatureNetwork
from textok.pipeline.folder import PipelineParts
from textok.runtime.device import Precision, autocast, trained_in
from textok.text import TextFeaturesSource
from textok.train.frechet import open_frechet_loss, open_networks
from textok.train.objective import GeneratorObjective, Network, Outcome, Terms
from textok.train.randomness import RandomSource, StepRandomness, sample_seeds
from textok.train.session import Session
from textok.types import Condition, LatentBatch, Latents


class PostTraining:
    """The Frechet loss of images generated under the conditions of a batch (arXiv 2604.28190).

    No condition is left out. With ``frechet.own`` above 0 also the generator's ``own`` objective,
    which validation losses are of in any case.
    """

    def __init__(
        self,
        own: GeneratorObjective,
        loss: FrechetLoss,
        pictures: Callable[[Tensor, list[str], list[int]], Tensor],
        *,
        config: GeneratorFrechetConfig,
        generator: DiT,
        sampling: SamplingConfig,
        source: RandomSource,
    ) -> None:
        self.loss, self._own, self._pictures = loss, own, pictures
        self._config, self._generator = config, generator
        self._sampling, self._source = sampling, source

    def sample(self, step: int) -> StepRandomness:
        return replace(self._own.sample(step), seeds=sample_seeds(self._source, step))

    def evaluate(
        self, network: Network, batch: LatentBatch, randomness: StepRandomness, step: int
    ) -> Outcome:
        """``frechet``, a share of the real variance; with the own objective's terms ``loss``."""
        trains = self.loss.filled
        with torch.set_grad_enabled(trains):
            found = self.loss(self._drawn(network, batch, randomness))
        terms: Terms = {"loss": self._config.weight * found.loss, "frechet": found.loss}
        if self._config.own > 0 and trains:
            own = self._own.evaluate(network, batch, randomness, step).terms
            terms = {**own, **terms, "own": own["loss"]}
            terms["loss"] = terms["loss"] + self._config.own * own["loss"]
        return Outcome(terms=terms, features=found.features)

    def validation_losses(
        self, network: Network, latents: Latents, condition: Condition, generator: torch.Generator
    ) -> Terms:
        return self._own.validation_losses(network, latents, condition, generator)

    def _drawn(self, network: Network, batch: LatentBatch, randomness: StepRandomness) -> Tensor:
        """Images (B, 3, H, W), not clamped."""
        assert randomness.seeds is not None
        seeds: list[int] = randomness.seeds.tolist()
        first = self._sampling.steps - 1 if self._config.gradient == "last" else 0
        through = _InTraining(self._generator, network, first=first)
        by_mean_flow = self._generator.config.objective.name == "meanflow"
        drawing = draw_mean_flow if by_mean_flow else draw
        tokens = drawing(through, batch.condition, sampling=self._sampling, seeds=seeds)
        return self._pictures(tokens, batch.captions, seeds)


class _InTraining:
    """A generator that is sampled by its training pass, which averages gradients over processes.

    Steps before ``first`` have no gradients.
    """

    def __init__(self, generator: DiT, network: Network, *, first: int) -> None:
        self._generator, self._network, self._first = generator, network, first

    @property
    def config(self) -> GeneratorConfig:
        return self._generator.config

    def parameters(self) -> Iterator[nn.Parameter]:
        return self._generator.parameters()

    def prepare(
        self,
        condition: Condition,
        times_S: Tensor,
        *,
        mean_flow: MeanFlowCondition | None = None,
    ) -> tuple[Condition, Tensor, MeanFlowCondition | None]:
        return condition, times_S, mean_flow

    def step(
        self,
        x_BKC: Tensor,
        index: int,
        prepared: tuple[Condition, Tensor, MeanFlowCondition | None],
    ) -> Tensor:
        condition, times_S, told = prepared
        rows_B = torch.full((len(x_BKC),), index, device=times_S.device)
        options = {} if told is None else {"mean_flow": told[rows_B]}
        with torch.set_grad_enabled(torch.is_grad_enabled() and index >= self._first):
            output: Tensor = self._network(x_BKC, times_S[rows_B], condition, **options)
        return output


class PictureDecoder:
    """The pipeline's frozen tokenizer, with gradients into the tokens."""

    def __init__(
        self,
        parts: PipelineParts,
        text: TextFeaturesSource | None,
        *,
        device: torch.device,
        precision: Precision,
    ) -> None:
        """``text`` gives the features that the decoder reads; None for one that reads none."""
        assert parts.scale is not None
        self._tokenizer = parts.tokenizer.to(device).eval().requires_grad_(False)
        self._scale, self._text = parts.scale.to(device), text
        self._device, self._precision = device, precision

    def __call__(self, tokens_BKC: Tensor, captions: list[str], seeds: list[int]) -> Tensor:
        """Images (B, 3, H, W), not clamped, of normalised tokens.

        A decoder that samples does so from ``seeds``, in its own number of steps.
        """
        text = None if self._text is None else self._text(captions).to(self._device)
        tokens = self._scale.denormalise(tokens_BKC)
        with autocast(self._device, self._precision):
            return self._tokenizer.decode(tokens, text, seeds=seeds).float()


@dataclass(frozen=True, kw_only=True)
class PostTrainer:
    """What post-training needs beside the training of a generator."""

    config: TrainGeneratorConfig
    networks: dict[str, FeatureNetwork]
    images: CaptionedImages

    def objective(
        self,
        own: GeneratorObjective,
        parts: PipelineParts,
        decoder_text: TextFeaturesSource | None,
        *,
        session: Session,
        source: RandomSource,
    ) -> PostTraining:
        """In place of the generator's ``own``, which is marked with the networks of the loss.

        The first time it measures the real images.
        """
        config, distributed = self.config, session.distributed
        loss = open_frechet_loss(
            config.frechet,
            self.networks,
            self.images,
            run=session.folder.root,
            distributed=distributed,
        )
        generator = parts.generator
        assert loss is not None and isinstance(generator, DiT)
        generator.trained_with = tuple(sorted({*generator.trained_with, *self.networks}))
        pictures = PictureDecoder(
            parts,
            decoder_text,
            device=distributed.device,
            precision=trained_in(distributed.device, config.run.precision),
        )
        return PostTraining(
            own,
            loss,
            pictures,
            config=config.frechet,
            generator=generator,
            sampling=config.sampling,
            source=source,
        )


def open_post_trainer(
    config: TrainGeneratorConfig, parts: PipelineParts, device: torch.device
) -> PostTrainer | None:
    """That of ``frechet``; None where its weight is 0.

    Raises ValueError where images or networks are missing.
    """
    if config.frechet.weight == 0:
        return None
    return PostTrainer(
        config=config,
        networks=open_networks(config.frechet, device),
        images=open_captioned_images(
            config.frechet.data, image_size=parts.tokenizer.config.image_size
        ),
    )


def sampled_as_trained(config: TrainGeneratorConfig) -> TrainGeneratorConfig:
    """The settings with the steps and guidance that ``frechet`` trains for, if it does."""
    frechet = config.frechet
    if frechet.weight == 0:
        return config
    sampling = replace(
        config.sampling, steps=frechet.steps, guidance=GuidanceConfig(scale=frechet.guidance)
    )
    return replace(config, sampling=sampling)
