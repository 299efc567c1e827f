"""Every number of an evaluation of generated images, from features that are computed once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from textok.config.evaluation import CaptionMode
from textok.data import CaptionedImages
from textok.data.order import evenly_spaced
from textok.evaluate.captions import captions_by_key
from textok.evaluate.class_accuracy import (
    ClassAccuracy,
    Labelled,
    class_accuracy,
    labelled,
)
from textok.evaluate.generated import GeneratedImages
from textok.evaluate.generation_inputs import GenerationInputs
from textok.evaluate.generation_report import ClipScores, Scores
from textok.evaluate.image_features import ImageFeatures, image_features, over_images
from textok.evaluate.memorisation import memorisation
from textok.evaluate.reference import reference_moments
from textok.evaluate.text_alignment import Alignment, Captioned, text_alignment
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.frechet import FeatureStatistics, Moments, frechet_distance, merge_all
from textok.metrics.inception_score import inception_score
from textok.metrics.interval import mean_interval
from textok.metrics.kernel_distance import kernel_distances
from textok.metrics.neighbours import Neighbours, nearest
from textok.metrics.precision_recall import precision_recall
from textok.types import Batch

SHOWN = 3
"""Nearest training images shown beside each image."""
CHUNK = 4096
"""Features turned to float64 at a time."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What is measured of real images."""

    real: ImageFeatures
    """Of the split."""
    others: dict[str, Tensor]
    """Features (n, F) of the split in the other networks, by the name of the distance."""
    training: ImageFeatures | None
    """Of the train split, where it is another."""
    moments: dict[str, Moments]
    """What Frechet distances are measured to, by their name: of the split, or of a file."""
    clip: list[float] | None
    """One score for each captioned image of the split."""


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """The nearest training images of generated images and of real held-out ones."""

    drawn: Neighbours
    real: Neighbours
    training: CaptionedImages


def measure_reference(inputs: GenerationInputs, cache: Path | None) -> Reference:
    """Measure the real images, each once over all processes; ``cache`` keeps their features."""

    def features(images: CaptionedImages, network: FeatureNetwork) -> ImageFeatures:
        return image_features(
            images, network, device=inputs.device, batch_size=inputs.batch_size, cache=cache
        )

    training, file = inputs.training, inputs.reference
    real = features(inputs.images, inputs.network)
    others = {
        network.metric: features(inputs.images, network).features
        for network in inputs.judges.others
    }
    every = {inputs.network.metric: real.features} | others
    return Reference(
        real=real,
        others=others,
        moments={name: _statistics(found).moments for name, found in every.items()}
        if file is None
        else reference_moments(
            file, inputs.judges, device=inputs.device, batch_size=inputs.batch_size
        ),
        training=None if training is None else features(training, inputs.network),
        clip=_real_clip(inputs),
    )


def score_images(
    inputs: GenerationInputs, generated: GeneratedImages, reference: Reference
) -> tuple[Scores, Nearness | None]:
    """Every number that can be had, and the nearest training images where there is training."""
    features, real = generated.features(inputs.network), reference.real.features
    logits = inputs.network.logits
    clip = None
    if reference.clip is not None:
        clip = ClipScores(drawn=mean_interval(generated.clip), real=mean_interval(reference.clip))
    near, copies = None, None
    if reference.training is not None:
        near = Nearness(
            drawn=nearest(features, reference.training.features, k=SHOWN),
            real=nearest(real, reference.training.features, k=SHOWN),
            training=reference.training.images,
        )
        copies = memorisation(
            near.drawn.distances[:, 0],
            near.real.distances[:, 0],
            training_images=len(near.training),
        )
    drawn = {network.metric: generated.features(network) for network in inputs.judges.networks}
    frechet = {
        name: frechet_distance(_statistics(found), reference.moments[name])
        for name, found in drawn.items()
    }
    scores = Scores(
        pictures=len(features),
        frechet=frechet.pop(inputs.network.metric),
        other_frechet=frechet,
        kernel=kernel_distances(drawn, {inputs.network.metric: real} | reference.others),
        manifold=precision_recall(real, features),
        inception=None if logits is None else inception_score(logits(features)),
        clip=clip,
        alignment=_alignment(inputs, features, reference),
        class_accuracy=_class_accuracy(inputs, features, reference),
        memorisation=copies,
    )
    return scores, near


def _alignment(
    inputs: GenerationInputs, features: Tensor, reference: Reference
) -> Alignment | None:
    if inputs.embed is None or reference.training is None:
        return None
    try:
        return text_alignment(
            drawn=Captioned(features=features, captions=inputs.samples.conditions),
            real=_captioned(reference.real, inputs.mode),
            training=_captioned(reference.training, inputs.mode, limit=inputs.probe_images),
            embed=inputs.embed,
        )
    except ValueError as error:
        inputs.absent.append(f"text alignment ({error})")
        return None


def _class_accuracy(
    inputs: GenerationInputs, features: Tensor, reference: Reference
) -> ClassAccuracy | None:
    labels, classes = inputs.samples.labels, inputs.generator.classes
    if labels is None or reference.training is None:
        return None
    try:
        return class_accuracy(
            drawn=Labelled(features=features, labels=labels),
            real=labelled(reference.real, classes),
            training=labelled(reference.training, classes, limit=inputs.probe_images),
            classes=len(classes),
        )
    except ValueError as error:
        inputs.absent.append(f"class accuracy ({error})")
        return None


def _captioned(images: ImageFeatures, mode: CaptionMode, limit: int | None = None) -> Captioned:
    """The images that have a caption, at most ``limit`` of them, evenly spaced."""
    captions = list(captions_by_key(mode, images.images.records).values())
    rows = [row for row, caption in enumerate(captions) if caption]
    if limit is not None:
        rows = [rows[place] for place in evenly_spaced(len(rows), limit)]
    return Captioned(features=images.features[rows], captions=[captions[row] for row in rows])


def _real_clip(inputs: GenerationInputs) -> list[float] | None:
    """The CLIP score of each real image that has a caption."""
    if inputs.clip is None:
        return None
    clip = inputs.clip
    captions = captions_by_key(inputs.mode, inputs.images.records)

    def compare(batch: Batch) -> Tensor:
        return clip.score(batch.images, [captions[key] for key in batch.keys])

    rows, scores = over_images(
        inputs.images,
        compare,
        device=inputs.device,
        batch_size=inputs.batch_size,
        what="CLIP score of real images",
    )
    keys = [inputs.images.records[row].key for row in rows]
    return [float(score) for key, score in zip(keys, scores, strict=True) if captions[key]]


def _statistics(features_nF: Tensor) -> FeatureStatistics:
    return merge_all(FeatureStatistics.of(part) for part in features_nF.split(CHUNK))
