"""How drawn pictures were judged, in words and numbers, for the report."""

from __future__ import annotations

from typing import Any

from textok.evaluate.captions import MODES
from textok.evaluate.generation_report import Scores
from textok.evaluate.generation_scores import Reference
from textok.evaluate.generation_task import GenerationTask
from textok.evaluate.protocol import (
    INTERVALS,
    describe_images,
    describe_machine,
    sample_warnings,
)
from textok.metrics.clip_score import PROTOCOL as CLIP_PROTOCOL
from textok.metrics.inception_score import SPLITS
from textok.metrics.precision_recall import NEIGHBOURS


def describe_generation(
    task: GenerationTask, reference: Reference, scores: Scores
) -> dict[str, Any]:
    """The protocol of an evaluation that found ``scores``."""
    samples, real = task.samples, len(reference.real.images)
    by = MODES[task.mode]
    if samples.labels is not None:
        by = f"{len(task.painter.classes)} classes in turn, numbers of pictures equal within one"
    protocol: dict[str, Any] = {
        "pictures": len(samples),
        "drawn by": by,
        "seeds": f"{samples.seeds[0]} to {samples.seeds[-1]}, one a picture",
        **describe_images(task.images, count=real, of=task.of),
        "rounding": "pictures to 8 bits, before any metric",
        **task.judges.describe(),
        "precision and recall": (
            f"Kynkäänniemi et al. 2019, {NEIGHBOURS} neighbours, {len(samples)} drawn and {real} "
            "real, in the same features"
        ),
        "intervals": INTERVALS,
        **describe_machine(task.device, caller="evaluate_generation"),
    }
    if task.painter.decoding:
        protocol["decoding"] = task.painter.decoding
    if scores.inception is not None:
        protocol["Inception Score"] = f"{SPLITS} random splits (seed 0), logits without bias"
    if task.clip is not None:
        protocol["CLIP score"] = f"{task.clip.name}: {CLIP_PROTOCOL}"
    if scores.alignment is not None:
        protocol["text alignment"] = (
            "ridge regression from standardised features to the mean all-MiniLM-L6-v2 state of "
            f"the caption, penalty {scores.alignment.strength:g} by every fifth pair; each caption "
            f"among {scores.alignment.candidates} wordings (seed 0), nearest by cosine about the "
            "mean, ties count against"
        )
    if scores.class_accuracy is not None:
        protocol["class accuracy"] = (
            "ridge regression from standardised features to one-hot classes, penalty "
            f"{scores.class_accuracy.strength:g} by every fifth image; nearest class by cosine "
            "about the mean"
        )
    if reference.training is not None:
        config = reference.training.images.config
        protocol["training images"] = f"{len(reference.training.images)} of {config.split}"
    if task.absent:
        protocol["not measured"] = "; ".join(task.absent)
    return protocol


def generation_warnings(task: GenerationTask, reference: Reference) -> list[str]:
    """What a reader of the numbers has to know."""
    real = len(reference.real.images)
    count = min(len(task.samples), real)
    found = [*task.judges.warnings(), *sample_warnings(task.judges, count)]
    if real < len(task.images):
        found.append(f"{len(task.images) - real} images could not be read and are left out")
    return found
