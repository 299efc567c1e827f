"""Generated images and what is measured of each, once, divided over the processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from textok.evaluate.generation_inputs import GenerationInputs
from textok.evaluate.store import Store
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.image import from_8bit, to_8bit

PICTURES, FEATURES, CLIP = "pictures", "features", "clip"


@dataclass(frozen=True, kw_only=True)
class GeneratedImages:
    """Images rounded to 8 bits and what was measured of them, in a folder of pieces."""

    store: Store

    def features(self, network: FeatureNetwork) -> Tensor:
        """(N, F) float32."""
        return self.store.all(f"{FEATURES}-{network.name}")

    @property
    def clip(self) -> list[float]:
        """One score an image, where a CLIP model was given."""
        scores: list[float] = self.store.all(CLIP).tolist()
        return scores

    def images(self, places: Sequence[int]) -> Tensor:
        """Some of the images, (b, 3, H, W) float32 in [-1, 1]."""
        return from_8bit(self.store.rows(PICTURES, places))


def generate_images(inputs: GenerationInputs, folder: Path) -> GeneratedImages:
    """Generate and measure every image that is not yet in ``folder``, in batches of one piece.

    Each process makes its share; all return when all is done.
    """
    generator, samples = inputs.generator, inputs.samples
    generated = GeneratedImages(
        store=Store(folder=folder, count=len(samples), size=inputs.batch_size)
    )
    made = _digest(
        generator.name,
        generator.image_size,
        generator.settings,
        generator.precision,
        generator.identity,
        samples.conditions,
        samples.seeds,
        samples.captions,
        inputs.batch_size,
    )

    def generate(span: range) -> Tensor:
        rows = slice(span.start, span.stop)
        wanted = samples.conditions[rows], samples.seeds[rows]
        if samples.captions is None:
            return to_8bit(generator.draw(*wanted))
        assert generator.draw_captioned is not None
        return to_8bit(generator.draw_captioned(*wanted, samples.captions[rows]))

    generated.store.fill(PICTURES, made, generate, what="generating")
    for network in inputs.judges.networks:

        def measure(span: range, network: FeatureNetwork = network) -> Tensor:
            return network.extract(generated.images(span).to(inputs.device)).float()

        kind, what = f"{FEATURES}-{network.name}", f"features, {network.metric}"
        generated.store.fill(kind, _digest(made, network.protocol), measure, what=what)
    if inputs.clip is not None:
        clip = inputs.clip

        def compare(span: range) -> Tensor:
            return clip.score(generated.images(span), samples.conditions[span.start : span.stop])

        generated.store.fill(CLIP, _digest(made, clip.name), compare, what="CLIP score")
    return generated


def _digest(*settings: object) -> str:
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()
