"""What `textok data` is told: the sets of captioned images that textok prepares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from textok.config.check import require, require_range
from textok.config.data import DataConfig


@dataclass(frozen=True, kw_only=True)
class PictogramsConfig:
    """All of ``textok data pictograms``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("out",)

    out: Path
    """Folder of the set."""
    size: Literal[64, 128, 256] = 128
    """Pixels a side."""
    tarballs: Path | None = None
    """Folder with the packages' tarballs; without it the npm client fetches them."""
    workers: int = 2
    """Processes that draw."""


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """All of ``textok data prepare``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("data.path", "out")
    WITHOUT: ClassVar[tuple[str, ...]] = (
        "data.split",
        "data.class_captions",
        "data.flip",
        "data.crop",
        "data.cache",
    )

    data: DataConfig = field(default_factory=DataConfig)
    out: Path
    """Folder of the set: PNG files and metadata.jsonl in train/, val/ and test/."""
    size: int
    """Pixels a side, 8 or more."""
    val: float = 0.02
    """Share that becomes val, drawn by key, where the source has no splits."""
    test: float = 0.06
    """Share that becomes test, drawn by key, where the source has no splits."""

    def __post_init__(self) -> None:
        require(self.size >= 8, f"size {self.size}: choose 8 or more pixels")
        require_range("val", self.val, 0, 1)
        require_range("test", self.test, 0, 1)
        nothing = f"val {self.val:g} and test {self.test:g}: nothing is left for train"
        require(self.val + self.test < 1, nothing)


@dataclass(frozen=True, kw_only=True)
class ImageNetConfig:
    """All of ``textok data imagenet``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("source", "out")

    source: Path
    """Folder with the official archives, with class folders, or in Kaggle's layout."""
    out: Path
    """Folder of the set: a shard a class in train/ and val/."""
    size: int = 256
    """Pixels a side, the shorter side resized and the centre cut; 0 keeps the files as they are."""
    encoding: Literal["jpeg", "png"] = "jpeg"
    """Of resized images: JPEG of quality 95, or lossless PNG."""
    captions: bool = True
    """Give each image "a photo of a CLASS"; without, captions are absent."""
    splits: tuple[str, ...] = ("train", "val")
    """train, val or both."""
    workers: int = 2
    """Processes that read, resize and write."""
    max_bad_share: float = 0.01
    """Stop when more than this share of the images cannot be read."""


@dataclass(frozen=True, kw_only=True)
class TinyImageNetConfig:
    """All of ``textok data tiny-imagenet``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("source", "out")

    source: Path
    """The published zip, or the folder that it unpacks to."""
    out: Path
    """Folder of the set: train/, val/ (1,000 of the published train) and test/ (its val)."""
    max_bad_share: float = 0.01
    """Stop when more than this share of the images cannot be read."""
