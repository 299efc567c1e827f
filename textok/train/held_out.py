"""How a generator in training is judged: losses, pictures, a Frechet distance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from textok.config.check import require
from textok.config.training import TrainOnLatentsConfig
from textok.data.order import evenly_spaced
from textok.data.pixels import to_pil
from textok.generator import TokenGenerator
from textok.latents import LatentSet
from textok.metrics.features import load_feature_network
from textok.metrics.frechet import FeatureStatistics, frechet_distance, merge_all
from textok.pipeline import decoding_seeds
from textok.pipeline.folder import PipelineParts
from textok.runtime.processes import gather, join_processes
from textok.runtime.sheet import picture_sheet
from textok.text import TextFeaturesSource
from textok.train.examples import condition_of
from textok.train.lesson import Lesson
from textok.types import Condition, LatentBatch, Latents

ROWS = 256
PROMPTS, PICTURES = 8, 4
BATCH = 64


class HeldOut:
    """Held-out latents and prompts, the same every time, for one generator after the other.

    ``prompt_text`` gives the features that the generator reads, ``decoder_text`` those that the
    tokenizer's decoder reads; either is None where there is no reader. An encoder is asked once,
    here: later it is not every process that reads. Raises ValueError for ``fd_images`` without
    two latents, or without the weights of the feature network.
    """

    def __init__(
        self,
        config: TrainOnLatentsConfig,
        *,
        lesson: Lesson[Any],
        latents: LatentSet,
        parts: PipelineParts,
        prompt_text: TextFeaturesSource | None,
        decoder_text: TextFeaturesSource | None,
        device: torch.device,
    ) -> None:
        self.lesson, self.parts, self.device = lesson, parts, device
        self._prompt_text, self._decoder_text = prompt_text, decoder_text
        self._tokenizer = parts.tokenizer.to(device)
        self._batches = _batches(latents, ROWS)
        self._prompts = list(config.prompts) or self._some_prompts()
        self._judged = _batches(latents, config.fd_images)
        if config.fd_images:
            require(len(latents) > 1, "fd_images: there is one held-out row, it takes 2 or more")
            self._network = load_feature_network("efficientnet_lite0", device=device)
        rows = [caption for batch in self._batches + self._judged for caption in batch.captions]
        if prompt_text is not None:
            self._prompt_text = prompt_text.precomputed([*rows, *self._prompts])
        if decoder_text is not None:
            drawn = self._ask(self._prompts)[1]
            self._decoder_text = decoder_text.precomputed([*rows, *drawn])

    def measure(self, generator: TokenGenerator) -> dict[str, float]:
        """The lesson's losses, as ``val_t0.1``, their mean ``val``, and ``fd`` if asked for.

        All processes ask together: each draws a share of the pictures, the first has the losses.
        """
        found = self._losses(generator) if join_processes()[0] == 0 else {}
        if self._judged:
            found["fd"] = frechet_distance(self._drawn(generator), self._reference)
        return found

    @torch.no_grad()
    def _losses(self, generator: TokenGenerator) -> dict[str, float]:
        """Of a few hundred rows, under the same chance every time."""
        chance = torch.Generator().manual_seed(0)
        sums: dict[str, float] = defaultdict(float)
        for batch in self._batches:
            latents, condition = batch.latents.to(self.device), self._condition(batch)
            losses = self.lesson.judge(generator, latents, condition, chance)
            for name, losses_B in losses.items():
                sums[name] += float(losses_B.sum())
        rows = sum(len(batch.keys) for batch in self._batches)
        found = {f"val_{name}": total / rows for name, total in sums.items()}
        found["val"] = sum(found.values()) / len(found)
        return found

    def sheet(self, generator: TokenGenerator) -> Image.Image:
        """PICTURES of each prompt, one row a prompt."""
        condition, captions = self._ask(self._prompts)
        columns = {}
        for seed in range(PICTURES):
            images = self._draw(generator, condition, captions, [seed] * len(captions))
            columns[f"seed {seed}"] = [to_pil(image) for image in images.cpu()]
        size = max(96, self._tokenizer.config.image_size)
        return picture_sheet(columns, self._prompts, cell=size)

    def _drawn(self, generator: TokenGenerator) -> FeatureStatistics:
        """Features of a picture for each row that is judged."""

        def draw(batch: LatentBatch, first: int) -> Tensor:
            seeds = range(first, first + len(batch.keys))
            return self._draw(generator, self._condition(batch), batch.captions, seeds)

        return self._features(draw)

    @cached_property
    def _reference(self) -> FeatureStatistics:
        """Features of the same rows, reconstructed.

        Both pass the same decoder, so that the distance says how well latents are drawn, and no
        pixel of a data set is needed.
        """
        return self._features(
            lambda batch, _: self._decode(
                batch.latents.to(self.device), batch.captions, decoding_seeds(batch.keys)
            )
        )

    @torch.no_grad()
    def _features(self, images: Callable[[LatentBatch, int], Tensor]) -> FeatureStatistics:
        """Of the ``images`` of all judged batches, which are told their first row.

        Each batch is one process's, and they are added up in the same order however many there are.
        """
        rank, world_size = join_processes()
        own = {
            place: FeatureStatistics.of(
                self._network.extract(images(self._judged[place], place * BATCH).clamp(-1, 1))
            )
            for place in range(rank, len(self._judged), world_size)
        }
        parts = {place: part for several in gather(own) for place, part in several.items()}
        return merge_all(parts[place] for place in sorted(parts))

    def _draw(
        self,
        generator: TokenGenerator,
        condition: Condition,
        captions: Sequence[str],
        seeds: Sequence[int],
    ) -> Tensor:
        """Images (B, 3, H, W), not clamped."""
        tokens = generator.sample(condition, sampling=self.parts.sampling, seeds=seeds)
        if self.parts.scale is not None:
            tokens = self.parts.scale.to(self.device).denormalise(tokens)
        return self._decode(tokens, captions, seeds)

    @torch.no_grad()
    def _decode(
        self, latents: Latents | Tensor, captions: Sequence[str], seeds: Sequence[int]
    ) -> Tensor:
        text = None
        if self._decoder_text is not None:
            text = self._decoder_text(captions).to(self.device)
        return self._tokenizer.decode(latents, text, seeds=seeds)

    def _condition(self, batch: LatentBatch) -> Condition:
        return condition_of(batch, self._prompt_text).to(self.device)

    def _some_prompts(self) -> list[str]:
        """Classes, or different captions of the measured rows."""
        known = list(self.parts.classes)
        if self._prompt_text is not None:
            captions = [caption for batch in self._batches for caption in batch.captions]
            known = list(dict.fromkeys(filter(str.strip, captions))) or [""]
        return [known[place] for place in evenly_spaced(len(known), PROMPTS)]

    def _ask(self, prompts: list[str]) -> tuple[Condition, list[str]]:
        """The condition that the prompts are, and the captions that the decoder reads."""
        if self._prompt_text is not None:
            return Condition(text=self._prompt_text(prompts).to(self.device)), prompts
        labels = [self.parts.classes.index(name) for name in prompts]
        captions = [self.parts.class_captions[name].draw(name, seed=0) for name in prompts]
        return Condition(labels=torch.tensor(labels, device=self.device)), captions


def _batches(latents: LatentSet, count: int) -> list[LatentBatch]:
    """``count`` rows evenly spaced over all, or all of them, BATCH at once."""
    rows = evenly_spaced(len(latents), count)
    return [latents.batch(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
