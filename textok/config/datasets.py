"""What `textok data` is told: the sets of captioned images that textok prepares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

from textok.config.check import require, require_range
from textok.config.data import FOR_TRAINING, MOST_WORKERS, DataConfig, Resize

PictogramSize = Literal[64, 128, 256]


@dataclass(frozen=True, kw_only=True)
class PictogramsConfig:
    """All of ``textok data pictograms``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("out",)

    out: Path
    """Folder of the set."""
    size: PictogramSize = 128
    """Pixels a side."""
    tarballs: Path | None = None
    """Folder with the packages' tarballs; without it the npm client fetches them."""
    workers: int = 2
    """Processes that render."""

    def __post_init__(self) -> None:
        sizes = get_args(PictogramSize)
        wrong = f"size {self.size}: choose one of {', '.join(map(str, sizes))}"
        require(self.size in sizes, wrong)
        require_range("workers", self.workers, 1, MOST_WORKERS)


@dataclass(frozen=True, kw_only=True)
class CheckedDataConfig(DataConfig):
    """Images that are looked at before anything is made of them."""

    split: str = ""
    """Sub-folder of ``path`` to check; without it all splits that there are."""


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """All of ``textok data check``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("data.path",)
    WITHOUT: ClassVar[tuple[str, ...]] = (*FOR_TRAINING, "data.max_bad_share",
                                          "data.allow_uncaptioned")  # fmt: skip

    data: CheckedDataConfig = field(default_factory=CheckedDataConfig)
    sheet: Path | None = Path("data-check.png")
    """Picture of some images with their captions; null for none."""
    rows: int = 12
    """Images on it, evenly spaced over the set."""
    every: bool = False
    """Decode every image and count those that cannot be, not only those on the sheet."""
    json: bool = False
    """Print one JSON object in place of lines."""

    def __post_init__(self) -> None:
        require_range("rows", self.rows, 1)
        require(
            self.sheet is None or self.sheet.suffix.lower() == ".png",
            f"sheet {self.sheet}: give the name of a .png",
        )


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """All of ``textok data prepare``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("data.path", "out")
    WITHOUT: ClassVar[tuple[str, ...]] = (*FOR_TRAINING, "data.split", "data.class_captions")

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


ExportFormat = Literal["hf", "webdataset", "folder"]


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """All of ``textok data export``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("data.path", "out")
    WITHOUT: ClassVar[tuple[str, ...]] = (
        *FOR_TRAINING,
        *("data.split", "data.class_captions", "data.fit", "data.resize", "data.workers"),
        "data.allow_uncaptioned",
    )

    data: DataConfig = field(default_factory=DataConfig)
    out: Path
    """Folder of the set that is written."""
    to: ExportFormat
    """``hf``: parquet files and a card, as on the Hugging Face hub. ``webdataset``: tar shards.
    ``folder``: image files and a metadata.jsonl in each split."""
    splits: tuple[str, ...] = ()
    """Splits to write; without it all that the set has. A set without splits becomes ``train``."""
    shard_images: int = 10_000
    """Images in a parquet file or tar shard."""

    def __post_init__(self) -> None:
        require_range("shard_images", self.shard_images, 1)
        require(
            len(set(self.splits)) == len(self.splits),
            f"splits {' '.join(self.splits)}: each one once",
        )


@dataclass(frozen=True, kw_only=True)
class ImageNetConfig:
    """All of ``textok data imagenet``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("source", "out")

    source: Path
    """Folder with the official archives, with class folders, or in Kaggle's layout."""
    out: Path
    """Folder of the set: a shard a class in train/ and val/."""
    size: int = 256
    """Pixels of the shorter side; 0 keeps the files as they are."""
    square: bool = True
    """Cut the centre square. Without, the longer side stays, for ``data.crop: random``."""
    resize: Resize = "lanczos"
    """``adm``: halved by box averages, then bicubic, as the images of published FIDs."""
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

    def __post_init__(self) -> None:
        sensible = self.size == 0 or self.size >= 8
        require(sensible, f"size {self.size}: choose 0 or 8 and more pixels")
        unused = "size 0 keeps the files as they are: leave resize out, or give a size"
        require(self.size > 0 or self.resize == "lanczos", unused)
        there = bool(self.splits) and set(self.splits) <= {"train", "val"}
        given = " ".join(self.splits) or "are empty"
        require(there, f"splits {given}: name train and val, or one of them")
        require_range("workers", self.workers, 1, MOST_WORKERS)
        require_range("max_bad_share", self.max_bad_share, 0, 1)


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
