"""Pictures that are drawn and what is measured of each, once, shared out over processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from textok.evaluate.generation_task import GenerationTask
from textok.evaluate.store import Store
from textok.metrics.features import FeatureNetwork
from textok.metrics.image import from_8bit, to_8bit

PICTURES, FEATURES, CLIP = "pictures", "features", "clip"


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Pictures rounded to 8 bits and what was measured of them, in a folder of pieces."""

    store: Store

    def features(self, network: FeatureNetwork) -> Tensor:
        """(N, F) float32."""
        return self.store.all(f"{FEATURES}-{network.name}")

    @property
    def clip(self) -> list[float]:
        """One score a picture, where a CLIP model was at hand."""
        scores: list[float] = self.store.all(CLIP).tolist()
        return scores

    def images(self, places: Sequence[int]) -> Tensor:
        """Some of the pictures, (b, 3, H, W) float32 in [-1, 1]."""
        return from_8bit(self.store.rows(PICTURES, places))


def draw(task: GenerationTask, folder: Path) -> Drawn:
    """Draw and measure every picture that is not yet in ``folder``, in batches of one piece.

    Each process draws its share; all return when all is done.
    """
    painter, samples = task.painter, task.samples
    drawn = Drawn(store=Store(folder=folder, count=len(samples), size=task.batch_size))
    made = _digest(
        painter.name,
        painter.image_size,
        painter.settings,
        painter.identity,
        samples.conditions,
        samples.seeds,
        task.batch_size,
    )

    def paint(span: range) -> Tensor:
        rows = slice(span.start, span.stop)
        return to_8bit(painter.draw(samples.conditions[rows], samples.seeds[rows]))

    drawn.store.fill(PICTURES, made, paint, what="drawing")
    for network in task.judges.networks:

        def measure(span: range, network: FeatureNetwork = network) -> Tensor:
            return network.extract(drawn.images(span).to(task.device)).float()

        kind, what = f"{FEATURES}-{network.name}", f"features, {network.metric}"
        drawn.store.fill(kind, _digest(made, network.protocol), measure, what=what)
    if task.clip is not None:
        clip = task.clip

        def compare(span: range) -> Tensor:
            return clip.score(drawn.images(span), samples.conditions[span.start : span.stop])

        drawn.store.fill(CLIP, _digest(made, clip.name), compare, what="CLIP score")
    return drawn


def _digest(*settings: object) -> str:
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()
