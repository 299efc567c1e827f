"""How generated images were judged, in words and numbers, for the report."""

from __future__ import annotations

from typing import Any

from textok.config.networks import RunPrecision
from textok.evaluate.captions import MODES
from textok.evaluate.decoder_captions import describe_captions
from textok.evaluate.generation_inputs import GenerationInputs
from textok.evaluate.generation_report import Scores
from textok.evaluate.generation_scores import Reference
from textok.evaluate.protocol import (
    INTERVALS,
    describe_images,
    describe_machine,
    describe_precision,
    sample_warnings,
)
from textok.evaluate.reference import describe_reference
from textok.metrics.clip_score import PROTOCOL as CLIP_PROTOCOL
from textok.metrics.inception_score import SPLITS
from textok.metrics.kernel_distance import describe_kernel
from textok.metrics.precision_recall import NEIGHBOURS


def describe_generation(
    inputs: GenerationInputs, reference: Reference, scores: Scores
) -> dict[str, Any]:
    """The protocol of an evaluation that found ``scores``."""
    samples, real = inputs.samples, len(reference.real.images)
    by = MODES[inputs.mode]
    if samples.labels is not None:
        by = (
            f"{len(inputs.generator.classes)} classes in turn, numbers of pictures equal within one"
        )
    protocol: dict[str, Any] = {
        "pictures": len(samples),
        "drawn by": by,
        "seeds": f"{samples.seeds[0]} to {samples.seeds[-1]}, one a picture",
        **_describe_captions(inputs),
        **describe_images(inputs.images, count=real, of=inputs.of),
        **_describe_precision(inputs.generator.precision),
        "rounding": "pictures to 8 bits, before any metric",
        **inputs.judges.describe(),
        "precision and recall": (
            f"Kynkäänniemi et al. 2019, {NEIGHBOURS} neighbours, {len(samples)} drawn and {real} "
            "real, in the same features"
        ),
        "kernel distance": describe_kernel(min(len(samples), real)),
        **describe_reference(inputs.reference),
        "intervals": INTERVALS,
        **describe_machine(inputs.device, caller="evaluate_generation"),
    }
    if inputs.generator.decoding:
        protocol["decoding"] = inputs.generator.decoding
    if scores.inception is not None:
        protocol["Inception Score"] = f"{SPLITS} random splits (seed 0), logits without bias"
    if inputs.clip is not None:
        protocol["CLIP score"] = f"{inputs.clip.name}: {CLIP_PROTOCOL}"
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
    if inputs.absent:
        protocol["not measured"] = "; ".join(inputs.absent)
    return protocol


def generation_warnings(inputs: GenerationInputs, reference: Reference) -> list[str]:
    """What a reader of the numbers has to know."""
    real = len(reference.real.images)
    count = min(len(inputs.samples), real)
    found = [*inputs.judges.warnings(), *sample_warnings(inputs.judges, count)]
    if real < len(inputs.images):
        found.append(f"{len(inputs.images) - real} images could not be read and are left out")
    return found


def _describe_captions(inputs: GenerationInputs) -> dict[str, str]:
    """Where the decoder's captions come from, where that is known."""
    generator, samples = inputs.generator, inputs.samples
    if not generator.caption_source:
        return {}
    given = samples.captions
    if given is None and generator.decoder_caption is not None:
        given = list(map(generator.decoder_caption, samples.conditions, samples.seeds))
    called = "the reference images" if inputs.reference is None else "images of the split"
    said = describe_captions(generator.caption_source, given, inputs.images, called=called)
    return {"decoder captions": said}


def _describe_precision(precision: RunPrecision | None) -> dict[str, str]:
    return {} if precision is None else {"precision": describe_precision(precision)}
