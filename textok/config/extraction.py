"""What `textok extract` is told: which tokenizer, which images, how latents are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from textok.config.alignment import require_image_network
from textok.config.check import require, require_range
from textok.config.data import MOST_AT_ONCE, DataConfig, TextStoreConfig
from textok.config.networks import RunPrecision


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """All of ``textok extract``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("tokenizer", "data.path", "out")
    WITHOUT: ClassVar[tuple[str, ...]] = (
        "data.split",
        "data.flip",
        "data.crop",
        "data.cache",
        "data.allow_changed",
    )

    tokenizer: str
    """The bundled 'products', a tokenizer folder or a hub name; copied to ``out/tokenizer``."""
    data: DataConfig = field(default_factory=DataConfig)
    out: Path
    """Folder of the latents; the tokenizer is copied into it."""
    splits: tuple[str, ...] = ("train", "val")
    """Sub-folders of the data."""
    captions_per_image: int = 0
    """Take the first captions of each image alone; 0 takes all."""
    flip: bool = False
    """Add the latents of every image mirrored."""
    features: str = ""
    """Also store features of each image, which `generator.alignment` reads: by efficientnet_lite0,
    vgg16, alexnet, or a folder or hub name of an image network of transformers."""
    shard_rows: int = 8192
    """Rows (image and caption) a file."""
    batch_size: int = 64
    """Rows at once."""
    text: TextStoreConfig = field(default_factory=TextStoreConfig)
    precision: RunPrecision = "fp32"
    """What the tokenizer runs in: fp32, tf32 (on CUDA devices) or bf16 (as trainings in bf16); not
    its text encoder, which names its own."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU where there is one."""

    def __post_init__(self) -> None:
        require(bool(self.splits), "splits: name at least one")
        if self.features:
            require_image_network("features", self.features)
        require_range("captions_per_image", self.captions_per_image, 0)
        require_range("shard_rows", self.shard_rows, 1, MOST_AT_ONCE)
        require_range("batch_size", self.batch_size, 1, MOST_AT_ONCE)
