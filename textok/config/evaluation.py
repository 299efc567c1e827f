"""What the evaluations are told: which model, which images, what is measured and by what."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from textok.config.check import require_range
from textok.config.data import FOR_TRAINING, MOST_AT_ONCE, DataConfig, TextStoreConfig
from textok.config.decoding import MOST_SEED, DecodingOptions
from textok.config.generator import SamplingOptions
from textok.config.networks import (
    CompileSetting,
    Resizing,
    RunPrecision,
    require_feature_network,
)

CaptionMode = Literal["true", "plain", "absent", "shuffled"]
DecoderCaptions = Literal["held_out", "other_image", "class_name", "none"]
"""What the tokenizer's decoder reads of a class: a caption not seen in training, as TexTok samples
(arXiv 2412.05796, section 4), one of another image of the class in the split that is measured on, a
sentence with the class's name, or nothing."""


@dataclass(frozen=True, kw_only=True)
class HeldOutDataConfig(DataConfig):
    """Images to measure on."""

    split: str = "test"
    """Sub-folder of ``path`` to measure on; ignored where ``path`` has none."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What both evaluations are told."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("model", "data.path")
    WITHOUT: ClassVar[tuple[str, ...]] = (*FOR_TRAINING, "text.store", "text.shard")
    ALIASES: ClassVar[dict[str, str]] = {"feature_networks": "feature_network"}

    model: str
    """The bundled 'products', a folder or a hub name: a tokenizer to reconstruct, a pipeline to
    generate."""
    data: HeldOutDataConfig = field(default_factory=HeldOutDataConfig)
    out: Path
    """Folder for report.json, report.md and images."""
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    feature_network: tuple[str, ...] = ()
    """One or several for Frechet distances: efficientnet_lite0, vgg16, alexnet, inception (FID),
    inception_spatial (sFID), or the folder or hub name of a DINOv2, CLIP, ConvNeXt or SigLIP. The
    first that the tokenizer was not trained against judges. By default efficientnet_lite0 and, with
    LPIPS's weights, vgg16."""
    inception_resizing: Resizing = "tensorflow"
    """Of images before Inception: bilinear without antialiasing, as ADM's evaluator resizes, or
    'clean', bicubic with antialiasing."""
    feature_weights: Path | None = None
    """File with a feature network's weights: Inception's, else the first one's."""
    reference: Path | None = None
    """npz file that Frechet distances are measured to instead of the split: ``mu`` and ``sigma``
    (pytorch-fid, ADM; sFID: ``mu_s`` and ``sigma_s``), or images in ``arr_0``."""
    limit: int | None = None
    """Measure on this many images, spread evenly over the split."""
    batch_size: int = 32
    """Images at once."""
    text: TextStoreConfig = field(default_factory=TextStoreConfig)
    precision: RunPrecision = "fp32"
    """What the tokenizer and the generator run in: fp32, tf32 (on CUDA devices) or bf16 (as
    trainings in bf16). Feature networks and metrics are always in float32."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU where there is one."""

    def __post_init__(self) -> None:
        require_range("batch_size", self.batch_size, 1, MOST_AT_ONCE)
        require_range("limit", 1 if self.limit is None else self.limit, 1)
        given: Any = self.feature_network
        for name in [given] if isinstance(given, str) else given:
            require_feature_network(name)


@dataclass(frozen=True, kw_only=True)
class EvaluateReconstructionConfig(EvaluationConfig):
    """All of ``textok evaluate reconstruction``."""

    caption_modes: tuple[CaptionMode, ...] = ("true", "plain", "absent", "shuffled")
    """Captions to give: an image's own, a plain one (the second of several), none, another
    image's; those that the data or the tokenizer lack are left out."""
    num_tokens: tuple[int, ...] = ()
    """Budgets to measure (a nested tokenizer takes any up to its own, one that samples also 0);
    without any all tokens."""
    num_samples: int | None = None
    """Of each image, by a decoder that samples; 1 if not given. The first is measured, and the PSNR
    of the mean of all."""
    seed: int | None = None
    """Of the first sample, by a decoder that samples, beside the image's key; 0 if not given."""
    kernel_distance: bool = False
    """Add the kernel distance in each feature network (in Inception's KID); keeps the features of
    all images in memory, 4 bytes a number, for every row of the report."""
    pca: bool = False
    """Add PCA with as many bits, fitted on the train split, and the verdict against it."""
    pca_cache: Path | None = None
    """Folder of fitted components, kept between evaluations."""
    sheet_rows: int = 12
    """Images on sheet.png."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("num_samples", 1 if self.num_samples is None else self.num_samples, 1)
        require_range("seed", self.seed or 0, 0, MOST_SEED)
        require_range("sheet_rows", self.sheet_rows, 1)


@dataclass(frozen=True, kw_only=True)
class EvaluateGenerationConfig(EvaluationConfig):
    """All of ``textok evaluate generation``."""

    ALIASES: ClassVar[dict[str, str]] = {
        **EvaluationConfig.ALIASES,
        "steps": "sampling.steps",
        "sampler": "sampling.sampler",
    }

    num_images: int | None = None
    """Images to generate; as many as the split has without it, 50,000 with ``npz``."""
    caption_mode: Literal["true", "plain"] = "true"
    """Generate from the first caption of each image, or from the second, plain one."""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    decoder_captions: DecoderCaptions = "held_out"
    """What the decoder reads of a class: a caption held out from training, one of another image of
    the class in the split, its name, nothing."""
    seed: int = 0
    """Of the first image; the next has the next."""
    compile: CompileSetting = "no"
    """Generate faster on a GPU: ``graph`` records sampling as CUDA graphs, ``blocks`` compiles
    before, ``autotune`` for minutes, ``fused`` takes Triton kernels."""
    clip: str | None = None
    """Folder or hub name of a CLIP model, for the CLIP score."""
    npz: bool = False
    """Also write samples.npz for the evaluation script of ADM."""
    probe_images: int = 8000
    """At most this many training images for the probe of text alignment or classes."""
    feature_cache: Path | None = None
    """Folder of real images' features, kept between evaluations."""
    sheet_rows: int = 64
    """Images on sheet.png."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("probe_images", self.probe_images, 1)
        require_range("sheet_rows", self.sheet_rows, 1)


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """All of ``textok evaluate compare``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("reports",)

    reports: tuple[Path, ...]
    """Files called report.json, made by `textok evaluate reconstruction`."""
    out: Path
    """Folder for comparison.md and comparison.png."""
