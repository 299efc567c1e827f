"""What an evaluation of generated images takes, all of it opened before anything is generated."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from textok.config.evaluation import CaptionMode
from textok.data import CaptionedImages
from textok.evaluate.judges import Judges
from textok.evaluate.painter import Painter
from textok.evaluate.samples import Samples
from textok.evaluate.text_alignment import Embed
from textok.metrics.clip_score import ClipScore
from textok.metrics.features import FeatureNetwork


@dataclass(frozen=True, kw_only=True)
class GenerationTask:
    """A generator, what it is to draw, and what the pictures are measured against and by."""

    painter: Painter
    samples: Samples
    mode: CaptionMode
    """Which captions are drawn, and learnt by the probe."""
    images: CaptionedImages
    """Real ones of the split."""
    of: int
    """Images that the split has."""
    training: CaptionedImages | None
    """The train split, where it is another."""
    judges: Judges
    clip: ClipScore | None
    embed: Embed | None
    """Embeds captions for text alignment."""
    probe_images: int
    """At most this many training images for the probe of text alignment or of classes."""
    absent: list[str]
    """What cannot be measured, and why; grows while the rest is measured."""
    device: torch.device
    batch_size: int

    @property
    def network(self) -> FeatureNetwork:
        """What everything but further Frechet distances is measured by."""
        return self.judges.main
