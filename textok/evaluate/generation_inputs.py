"""What an evaluation of a generator works on, opened before any image is generated."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from textok.config.evaluation import CaptionMode
from textok.data import CaptionedImages
from textok.evaluate.image_generator import ImageGenerator
from textok.evaluate.judges import Judges
from textok.evaluate.samples import Samples
from textok.evaluate.text_alignment import Embed
from textok.metrics.clip_score import ClipScore
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.reference import ReferenceFile


@dataclass(frozen=True, kw_only=True)
class GenerationInputs:
    """A generator, the images it is to make, and what these are measured against and by."""

    generator: ImageGenerator
    samples: Samples
    mode: CaptionMode
    """Which captions are generated from, and learnt by the probe."""
    images: CaptionedImages
    """Real ones of the split."""
    of: int
    """Images that the split has."""
    training: CaptionedImages | None
    """The train split, where it is another."""
    judges: Judges
    reference: ReferenceFile | None
    """What Frechet distances are measured to, where that is not ``images``."""
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
