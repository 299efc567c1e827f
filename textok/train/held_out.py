"""How a generator in training is judged: losses by noise level, pictures, a Frechet distance.

Legend: B rows, K latent tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from textok.config import TrainGeneratorConfig
from textok.config.check import require
from textok.data.pixels import to_pil
from textok.generator import DiT, objective, sample
from textok.latents import LatentSet
from textok.metrics.features import FeatureNetwork, load_feature_network
from textok.metrics.frechet import FeatureStatistics, frechet_distance
from textok.pipeline.folder import PipelineParts
from textok.runtime.sheet import picture_sheet
from textok.types import Condition, LatentBatch, TextFeatures

TextReader = Callable[[Sequence[str]], TextFeatures]

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Times at which the loss is measured; 0 is the data, 1 the noise."""
ROWS = 256
PROMPTS, PICTURES = 8, 4
BATCH = 64


class HeldOut:
    """Held-out latents and prompts, the same every time, for one generator after the other.

    ``prompt_text`` gives the features that the generator reads, ``decoder_text`` those that the
    tokenizer's decoder reads; either is None where there is no reader. Raises ValueError for
    prompts that are no classes of a class-conditional generator.
    """

    def __init__(
        self,
        config: TrainGeneratorConfig,
        *,
        latents: LatentSet,
        parts: PipelineParts,
        prompt_text: TextReader | None,
        decoder_text: TextReader | None,
        device: torch.device,
    ) -> None:
        self.config, self.parts, self.device = config, parts, device
        self._prompt_text, self._decoder_text = prompt_text, decoder_text
        self._objective = objective(config.generator.objective)
        self._scale = parts.scale.to(device)
        self._tokenizer = parts.tokenizer.to(device)
        self._batch = latents.batch(_spread(len(latents), ROWS))
        self._shown = self._ask(list(config.prompts)) if config.prompts else self._first_prompts()
        self._judged = None
        if config.fd_images:
            self._judged = latents.batch(_spread(len(latents), config.fd_images))
        self._network: FeatureNetwork | None = None
        self._reference: FeatureStatistics | None = None

    @torch.no_grad()
    def measure(self, generator: DiT) -> dict[str, float]:
        """``val_t0.1`` and so on, their mean ``val``, and ``fd`` if ``fd_images`` asks for it."""
        tokens = self._scale.normalise(self._batch.latents.mean.to(self.device))
        noise = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(0))
        noise = noise.to(self.device)
        condition = self._condition(self._batch)
        losses = {}
        for level in LEVELS:
            times = tokens.new_full((len(tokens),), level)
            output = generator(self._objective.add_noise(tokens, noise, times), times, condition)
            loss = self._objective.loss(output, tokens, noise, times).mean()
            losses[f"val_t{level}"] = float(loss)
        found = {**losses, "val": sum(losses.values()) / len(losses)}
        if self._judged is not None:
            found["fd"] = self._frechet(generator, self._judged)
        return found

    def sheet(self, generator: DiT) -> Image.Image:
        """PICTURES of each prompt, one row a prompt."""
        prompts, condition, captions = self._shown
        columns = {
            f"seed {seed}": self._draw(generator, condition, captions, [seed] * len(prompts))
            for seed in range(PICTURES)
        }
        pictures = {
            name: [to_pil(image) for image in images.cpu()] for name, images in columns.items()
        }
        return picture_sheet(pictures, prompts, cell=max(96, self._tokenizer.config.image_size))

    def _frechet(self, generator: DiT, batch: LatentBatch) -> float:
        """Frechet distance between drawn pictures and reconstructions of the same captions.

        Both pass the same decoder, so that it says how well latents are drawn, and no pixel of a
        data set is needed.
        """
        if self._network is None:
            self._network = load_feature_network("efficientnet_lite0", device=self.device)
        drawn = FeatureStatistics.empty(self._network.width)
        reference = FeatureStatistics.empty(self._network.width)
        condition = self._condition(batch)
        for start in range(0, len(batch.keys), BATCH):
            rows = slice(start, start + BATCH)
            captions = batch.captions[rows]
            seeds = range(start, start + len(captions))
            images = self._draw(generator, condition[rows], captions, seeds)
            drawn = drawn.merge(FeatureStatistics.of(self._network.extract(images.clamp(-1, 1))))
            if self._reference is None:
                images = self._decode(batch.latents.mean[rows].to(self.device), captions)
                features = self._network.extract(images.clamp(-1, 1))
                reference = reference.merge(FeatureStatistics.of(features))
        self._reference = self._reference or reference
        return frechet_distance(drawn, self._reference)

    def _draw(
        self, generator: DiT, condition: Condition, captions: Sequence[str], seeds: Sequence[int]
    ) -> Tensor:
        """Images (B, 3, H, W), not clamped."""
        tokens = sample(generator, condition, sampling=self.config.sampling, seeds=seeds)
        return self._decode(self._scale.denormalise(tokens), captions)

    @torch.no_grad()
    def _decode(self, tokens_BKC: Tensor, captions: Sequence[str]) -> Tensor:
        text = None
        if self._decoder_text is not None:
            text = self._decoder_text(captions).to(self.device)
        return self._tokenizer.decode(tokens_BKC, text)

    def _condition(self, batch: LatentBatch) -> Condition:
        return condition_of(batch, self._prompt_text).to(self.device)

    def _first_prompts(self) -> tuple[list[str], Condition, list[str]]:
        """What a few of the held-out rows are: caption and class."""
        rows = _spread(len(self._batch.keys), PROMPTS)
        condition = self._condition(self._batch)[torch.tensor(rows)]
        captions = [self._batch.captions[row] for row in rows]
        if self.config.generator.condition == "text":
            return captions, condition, captions
        assert condition.labels is not None
        names = [self.parts.classes[label] if label >= 0 else "" for label in condition.labels]
        return names, condition, captions

    def _ask(self, prompts: list[str]) -> tuple[list[str], Condition, list[str]]:
        """The prompts of the settings, the condition they are and the decoder's captions."""
        if self._prompt_text is not None:
            return prompts, Condition(text=self._prompt_text(prompts).to(self.device)), prompts
        classes = list(self.parts.classes)
        unknown = [name for name in prompts if name not in classes]
        require(not unknown, f"prompts: '{', '.join(unknown)}' is no class of the latents")
        labels = torch.tensor([classes.index(name) for name in prompts], device=self.device)
        captions = [self.parts.class_captions[name].draw(name, seed=0) for name in prompts]
        return prompts, Condition(labels=labels), captions


def condition_of(batch: LatentBatch, text: TextReader | None) -> Condition:
    """What the latents of a batch were made of: their captions, or their classes without ``text``.

    An image without a caption or a class asks for nothing in particular.
    """
    if text is not None:
        return Condition(text=text(batch.captions))
    assert batch.labels is not None
    return Condition(labels=batch.labels)


def _spread(size: int, count: int) -> list[int]:
    """``count`` places spread evenly over ``size``, or all of them."""
    count = min(size, count)
    return [index * size // count for index in range(count)]
