"""Every way of reconstructing a data set, measured in one pass over its images.

Legend: B batch, K latent tokens, k <= K of them, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from textok.config import DecodingConfig, TokenizerConfig
from textok.config.evaluation import CaptionMode
from textok.data import CaptionedImages, eval_batches
from textok.evaluate.accumulator import MetricAccumulator
from textok.evaluate.captions import captions_by_key
from textok.evaluate.judges import Judges
from textok.evaluate.reference import reference_moments
from textok.evaluate.report import Row
from textok.metrics.frechet import Moments
from textok.metrics.image import ImageMetric
from textok.metrics.pca import PixelPca
from textok.metrics.reference import ReferenceFile
from textok.pipeline import Reconstructor, decoding_seeds
from textok.runtime.counter import counter
from textok.types import Batch, Latents

BITS_A_FLOAT = 16

Way = tuple[str, int]
"""A caption mode or ``pca``, and the number of tokens k."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What one way made of a batch."""

    images: Tensor
    """(B, 3, H, W), not clamped."""
    codes: Tensor | None = None
    """(B, k) that they were made of, where there are codes."""
    mean: Tensor | None = None
    """(B, 3, H, W) the mean of several samples of each image, clamped before, where there are."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionInputs:
    """A tokenizer, images, and what is to be measured of the one on the other."""

    reconstructor: Reconstructor
    images: CaptionedImages
    modes: Sequence[CaptionMode]
    budgets: Sequence[int]
    """Token counts k, each 1..K; 0 too where the decoder samples."""
    pca: PixelPca | None
    judges: Judges
    metrics: Mapping[str, ImageMetric]
    decoding: DecodingConfig | None = None
    """Of a decoder that samples."""
    seed: int = 0
    """Of the first sample of each image, beside the image's key; the next has the next."""
    num_samples: int = 1
    """Of each image. The first is measured, and the PSNR of the mean of all."""
    reference: ReferenceFile | None = None
    """What Frechet distances are measured to, where that is not ``images``."""
    kernel_distance: bool = False

    @property
    def ways(self) -> list[Way]:
        """Every row of the report, in order."""
        sources = [*self.modes, *([] if self.pca is None else ["pca"])]
        return [(source, budget) for budget in self.budgets for source in sources]


def measure(
    inputs: ReconstructionInputs, *, batch_size: int, rank: int, world_size: int
) -> tuple[list[Row], int]:
    """A row for each way, and how many images were measured by all processes together."""
    captions = {mode: captions_by_key(mode, inputs.images.records) for mode in inputs.modes}
    inputs.reconstructor.warm([text for texts in captions.values() for text in texts.values()])
    main, others = inputs.judges.main, inputs.judges.others
    keep = inputs.kernel_distance
    originals = MetricAccumulator(main, {}, others=others, keep_features=keep)
    size = inputs.reconstructor.config.codebook_size
    accumulators = {
        way: MetricAccumulator(
            main, inputs.metrics, others=others, codebook_size=size, keep_features=keep
        )
        for way in inputs.ways
    }
    batches = eval_batches(
        inputs.images,
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
        workers=inputs.images.config.workers,
    )
    starts = range(rank * batch_size, len(inputs.images), world_size * batch_size)
    share = sum(min(batch_size, len(inputs.images) - start) for start in starts)
    with counter("evaluating", total=share, shown=rank == 0) as count:
        for batch in batches:
            batch = batch.to(inputs.reconstructor.device)
            originals.add(batch.images, batch.images, batch.keys)
            for way, made in reconstructions(inputs, batch, captions):
                accumulators[way].add(
                    made.images,
                    batch.images,
                    batch.keys,
                    codes_BK=made.codes,
                    mean_B3HW=made.mean,
                )
            count(len(batch.keys))
    for accumulator in (originals, *accumulators.values()):
        accumulator.gather()
    reference = originals.moments
    if inputs.reference is not None:
        reference = reference_moments(
            inputs.reference,
            inputs.judges,
            device=inputs.reconstructor.device,
            batch_size=batch_size,
        )
    rows = [_row(inputs, way, accumulators[way], originals, reference) for way in inputs.ways]
    return rows, originals.statistics.count


def reconstructions(
    inputs: ReconstructionInputs, batch: Batch, captions: Mapping[CaptionMode, Mapping[str, str]]
) -> Iterator[tuple[Way, Made]]:
    """What each way makes of one batch, from codes or float16 numbers."""
    for mode in inputs.modes:
        texts = [captions[mode][key] for key in batch.keys]
        latents = inputs.reconstructor.encode(batch.images, texts)
        latents = Latents(mean=latents.mean.half().float(), codes=latents.codes)
        for k in inputs.budgets:
            first = latents.first(k)
            samples = (
                inputs.reconstructor.decode_tensor(
                    first,
                    texts,
                    seeds=decoding_seeds(batch.keys, draw=inputs.seed + sample),
                    decoding=inputs.decoding,
                )
                for sample in range(inputs.num_samples)
            )
            images = next(samples)
            mean = None
            if inputs.num_samples > 1:
                # A sum: all samples at once would need the memory of all.
                mean = (
                    sum((one.clamp(-1, 1) for one in samples), start=images.clamp(-1, 1))
                    / inputs.num_samples
                )
            yield (mode, k), Made(images=images, codes=first.codes, mean=mean)
    if inputs.pca is not None:
        codes = inputs.pca.encode(batch.images).half().float()
        for k in inputs.budgets:
            floats = count_floats(inputs.reconstructor.config, k)
            yield ("pca", k), Made(images=inputs.pca.decode(codes[:, :floats]))


def count_bits(config: TokenizerConfig, k: int) -> int:
    """Bits of k tokens: log2 V for each code of a discrete tokenizer, 16 for each other number."""
    if config.codebook_size:
        return math.ceil(k * math.log2(config.codebook_size))
    return BITS_A_FLOAT * k * config.channels


def count_floats(config: TokenizerConfig, k: int) -> int:
    """Numbers that take as many bits as k tokens, rounded up: k x C of continuous ones."""
    return math.ceil(count_bits(config, k) / BITS_A_FLOAT)


def _row(
    inputs: ReconstructionInputs,
    way: Way,
    accumulator: MetricAccumulator,
    originals: MetricAccumulator,
    reference: Mapping[str, Moments],
) -> Row:
    source, k = way
    config = inputs.reconstructor.config
    floats = count_floats(config, k)
    return Row(
        source=source,
        tokens=None if source == "pca" else k,
        floats=floats,
        bits=BITS_A_FLOAT * floats if source == "pca" else count_bits(config, k),
        frechet=accumulator.frechet(reference),
        other_frechet=accumulator.other_frechet(reference),
        kernel=accumulator.kernel(originals),
        metrics=accumulator.intervals(),
        codebook=accumulator.codebook(),
    )
