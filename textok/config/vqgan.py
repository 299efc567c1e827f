"""What a VQGAN is made of: the two-stage tokenizers learn its codes before pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textok.config.check import require, require_range

MOST_RESOLUTIONS, MOST_BLOCKS = 16, 1_000


@dataclass(frozen=True, kw_only=True)
class VQGANConfig:
    """A convolutional autoencoder with a codebook. The defaults are MaskGIT's (54 M parameters)."""

    image_size: int = 256
    """Pixels a side."""
    width: int = 128
    """Channels at full resolution."""
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    """Channels of each resolution, in widths; each but the last halves the image after it."""
    res_blocks: int = 2
    """Residual blocks at each resolution."""
    shortcut: Literal["output", "input"] = "output"
    """What is added where a block changes the channels: ``input`` is a residual block and learns
    colours sooner, ``output`` is what MaskGIT's weights were trained with."""
    codebook_size: int = 1024
    """V, the number of codes."""
    codebook_channels: int = 256
    """Numbers a code."""
    l2_norm: bool = False
    """Compare and decode codes as directions alone."""
    revive: bool = False
    """Move codes that are hardly used to where the data is (CVQ, arXiv 2307.15139)."""

    def __post_init__(self) -> None:
        for name in ("image_size", "width", "codebook_size", "codebook_channels"):
            require_range(f"vqgan.{name}", getattr(self, name), 1)
        require_range("vqgan.res_blocks", self.res_blocks, 1, MOST_BLOCKS)
        require(bool(self.multipliers), "vqgan.multipliers is empty: give at least one")
        require(
            len(self.multipliers) <= MOST_RESOLUTIONS,
            f"vqgan.multipliers has {len(self.multipliers):,} values: at most {MOST_RESOLUTIONS}",
        )
        for multiplier in self.multipliers:
            require_range("vqgan.multipliers", multiplier, 1)
        require(
            self.image_size % self.factor == 0,
            f"vqgan.image_size {self.image_size} is not a multiple of {self.factor}, by which "
            f"{len(self.multipliers)} resolutions divide it",
        )

    @property
    def factor(self) -> int:
        """Pixels a side of one code."""
        return int(2 ** (len(self.multipliers) - 1))

    @property
    def grid(self) -> int:
        """Codes a side."""
        return self.image_size // self.factor
