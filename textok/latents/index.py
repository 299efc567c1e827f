"""The index of a split of latents: what they are, their sources, their mean and deviation."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from textok.config.check import require, require_range
from textok.config.data import Resize
from textok.config.networks import RunPrecision
from textok.config.read import build_part
from textok.latents.scale import LatentScale
from textok.runtime.files import write_text
from textok.runtime.untrusted import regular_file

INDEX = "index.json"
AGAIN = "run the same `textok extract` command again"


@dataclass(frozen=True, kw_only=True)
class LatentIndex:
    """``index.json`` of a split. Written last: where it is, the split is complete."""

    num_tokens: int
    """K latent tokens an image."""
    channels: int
    """C numbers a token."""
    codebook_size: int = 0
    """V codes that a token is one of; 0 where tokens are continuous."""
    image_size: int
    """Pixels a side that the tokenizer reads and writes."""
    features: str = ""
    """The network whose features each image has; empty without features."""
    feature_width: int = 0
    """F of them."""
    tokenizer: str
    """The name that the tokenizer was given by; a copy is beside the splits."""
    tokenizer_sha256: str
    """Of its weights."""
    precision: RunPrecision = "fp32"
    """What it ran in."""
    data: str
    where: str
    fit: Literal["crop", "pad"] = "crop"
    """How images became square."""
    resize: Resize = "lanczos"
    """How they were brought to size."""
    flip: bool
    """Whether each row is there a second time, of the mirrored image."""
    not_mirrored: int = 0
    """Rows that are not, because their captions say left or right."""
    classes: list[str]
    """Names of the classes; the number of a class is its place here. Empty without classes."""
    images: int
    """Images that have rows."""
    unreadable: int
    """Images left out, because they could not be read."""
    rows: int
    shards: list[int]
    """Rows of each shard."""
    mean: list[float]
    """Of each channel, over rows and tokens."""
    std: list[float]
    """Of each channel, over rows and tokens, with the variance of a ``kl`` bottleneck."""

    def first(self, num_tokens: int) -> LatentIndex:
        """Of the rows' first tokens, with the statistics of all.

        Raises ValueError for more than there are.
        """
        require_range("latents.num_tokens", num_tokens, 1, self.num_tokens)
        return replace(self, num_tokens=num_tokens)

    @property
    def scale(self) -> LatentScale:
        return LatentScale(torch.tensor(self.mean), torch.tensor(self.std))


def write_index(folder: Path, index: LatentIndex) -> None:
    """Declare the split in ``folder`` complete."""
    write_text(folder / INDEX, json.dumps(asdict(index), indent=1, ensure_ascii=False) + "\n")


def read_index(folder: Path) -> LatentIndex:
    """The index of the split in ``folder``.

    Raises ValueError where the split is missing, incomplete, or its index is damaged.
    """
    path = folder / INDEX
    if not folder.is_dir():
        raise ValueError(_no_split(folder))
    try:
        read = json.loads(regular_file(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder} is incomplete: {AGAIN}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error}); delete it and {AGAIN}") from None
    if not isinstance(read, dict):
        raise ValueError(f"{path}: not an index of latents; delete it and {AGAIN}")
    index = build_part(LatentIndex, read, path, "")
    require(
        len(index.mean) == len(index.std) == index.channels,
        f"{path}: mean and std are not of {index.channels} channels; delete it and {AGAIN}",
    )
    return index


def _no_split(folder: Path) -> str:
    root = folder.parent
    splits = sorted(path.parent.name for path in root.glob(f"*/{INDEX}"))
    if splits:
        return f"{root} has no split '{folder.name}'; it has {', '.join(splits)}"
    return f"{root}: no latents there; `textok extract TOKENIZER DATA {root}` writes them"
