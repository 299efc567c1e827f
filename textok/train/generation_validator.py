"""How a generator in training is validated: losses, images, a Frechet distance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from textok.config.check import require
from textok.data.pixels import to_pil
from textok.generator import TokenGenerator
from textok.latents import LatentSet
from textok.metrics.features import load_feature_network
from textok.metrics.frechet import FeatureStatistics, frechet_distance, merge_all
from textok.pipeline import decoding_seeds
from textok.pipeline.folder import PipelineParts
from textok.runtime.sheet import picture_sheet
from textok.text import FrozenTextEncoder
from textok.text.remembered import RememberedText
from textok.train.distributed import Distributed
from textok.train.latent_batches import TextReader, with_text
from textok.train.objective import GeneratorObjective
from textok.types import Condition, LatentBatch, Latents

ROWS = 256
PROMPTS, IMAGES = 8, 4
BATCH = 64


class GenerationValidator:
    """Validates one generator after the other on the same latents and prompts.

    ``prompts`` are those of the sheets, by default some captions or classes of ``latents``;
    ``fd_images`` is how many rows the Frechet distance takes, 0 for none. ``prompt_text`` gives the
    features that the generator reads, ``decoder_text`` those that the tokenizer's decoder reads;
    either is None where nothing reads captions. An encoder runs once, here: later not every process
    calls it. Raises ValueError for ``fd_images`` without two latents, or without the weights of the
    feature network.
    """

    def __init__(
        self,
        objective: GeneratorObjective,
        *,
        latents: LatentSet,
        parts: PipelineParts,
        prompts: Sequence[str],
        fd_images: int,
        prompt_text: TextReader | None,
        decoder_text: TextReader | None,
        distributed: Distributed,
    ) -> None:
        self.objective, self.parts = objective, parts
        self.device, self._distributed = distributed.device, distributed
        self._prompt_text, self._decoder_text = prompt_text, decoder_text
        self._tokenizer = parts.tokenizer.to(self.device)
        self._batches = _batches(latents, ROWS)
        self._prompts = list(prompts) or self._default_prompts()
        self._fd_batches = _batches(latents, fd_images)
        if fd_images:
            require(len(latents) > 1, "fd_images: there is one held-out row, it takes 2 or more")
            self._network = load_feature_network("efficientnet_lite0", device=self.device)
        rows = [caption for batch in self._batches + self._fd_batches for caption in batch.captions]
        if isinstance(prompt_text, FrozenTextEncoder):
            self._prompt_text = RememberedText(prompt_text, [*rows, *self._prompts])
        if isinstance(decoder_text, FrozenTextEncoder):
            shown = self._condition_of_prompts()[1]
            self._decoder_text = RememberedText(decoder_text, [*rows, *shown])

    def measure(self, generator: TokenGenerator) -> dict[str, float]:
        """The objective's losses, as ``val_t0.1``, their mean ``val``, and ``fd`` where it is set.

        Called by all processes: each generates a share of the images, the main one has the losses.
        """
        found = self._losses(generator) if self._distributed.is_main else {}
        if self._fd_batches:
            found["fd"] = frechet_distance(self._generated(generator), self._reference)
        return found

    @torch.no_grad()
    def _losses(self, generator: TokenGenerator) -> dict[str, float]:
        """Means over a few hundred rows, with the same random numbers every time."""
        random = torch.Generator().manual_seed(0)
        sums: dict[str, float] = defaultdict(float)
        for batch in self._batches:
            latents, condition = batch.latents.to(self.device), self._condition(batch)
            losses = self.objective.validation_losses(generator, latents, condition, random)
            for name, losses_B in losses.items():
                sums[name] += float(losses_B.sum())
        rows = sum(len(batch.keys) for batch in self._batches)
        found = {f"val_{name}": total / rows for name, total in sums.items()}
        found["val"] = sum(found.values()) / len(found)
        return found

    def sheet(self, generator: TokenGenerator) -> Image.Image:
        """IMAGES of each prompt, one row a prompt."""
        condition, captions = self._condition_of_prompts()
        columns = {}
        for seed in range(IMAGES):
            images = self._generate(generator, condition, captions, [seed] * len(captions))
            columns[f"seed {seed}"] = [to_pil(image) for image in images.cpu()]
        size = max(96, self._tokenizer.config.image_size)
        return picture_sheet(columns, self._prompts, cell=size)

    def _generated(self, generator: TokenGenerator) -> FeatureStatistics:
        """Features of a generated image for each row that the Frechet distance takes."""

        def generate(batch: LatentBatch, first: int) -> Tensor:
            seeds = range(first, first + len(batch.keys))
            return self._generate(generator, self._condition(batch), batch.captions, seeds)

        return self._features(generate)

    @cached_property
    def _reference(self) -> FeatureStatistics:
        """Features of the same rows, reconstructed.

        Both pass the same decoder, so that the distance measures the latents alone, and no pixel
        of a data set is needed.
        """
        return self._features(
            lambda batch, _: self._decode(
                batch.latents.to(self.device), batch.captions, decoding_seeds(batch.keys)
            )
        )

    @torch.no_grad()
    def _features(self, images: Callable[[LatentBatch, int], Tensor]) -> FeatureStatistics:
        """Of ``images(batch, its first row)`` of all batches.

        Each batch is one process's; they are added up in the same order on any number of processes.
        """
        rank, world_size = self._distributed.rank, self._distributed.world_size
        own = {
            place: FeatureStatistics.of(
                self._network.extract(images(self._fd_batches[place], place * BATCH).clamp(-1, 1))
            )
            for place in range(rank, len(self._fd_batches), world_size)
        }
        parts = {
            place: part
            for several in self._distributed.gather_objects(own)
            for place, part in several.items()
        }
        return merge_all(parts[place] for place in sorted(parts))

    def _generate(
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
        return with_text(batch, self._prompt_text).condition.to(self.device)

    def _default_prompts(self) -> list[str]:
        """Classes, or different captions of the measured rows."""
        known = list(self.parts.classes)
        if self._prompt_text is not None:
            captions = [caption for batch in self._batches for caption in batch.captions]
            known = list(dict.fromkeys(filter(str.strip, captions))) or [""]
        return [known[place] for place in _spread(len(known), PROMPTS)]

    def _condition_of_prompts(self) -> tuple[Condition, list[str]]:
        """The condition that the prompts are, and the captions that the decoder reads."""
        prompts = self._prompts
        if self._prompt_text is not None:
            return Condition(text=self._prompt_text(prompts).to(self.device)), prompts
        labels = [self.parts.classes.index(name) for name in prompts]
        captions = [self.parts.class_captions[name].draw(name, seed=0) for name in prompts]
        return Condition(labels=torch.tensor(labels, device=self.device)), captions


def _batches(latents: LatentSet, count: int) -> list[LatentBatch]:
    """``count`` rows spread evenly over all, or all of them, BATCH at once."""
    rows = _spread(len(latents), count)
    return [latents.batch(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]


def _spread(size: int, count: int) -> list[int]:
    """``count`` places spread evenly over ``size``, or all of them."""
    count = min(size, count)
    return [index * size // count for index in range(count)]
