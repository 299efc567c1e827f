"""The codes that a step's images took, from all micro-batches and processes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor

from textok.nn.codebook import Codebook, code_use
from textok.types import Reconstruction


@dataclass
class CodesSeen:
    """What a codebook was asked for, and by what; empty for networks without one."""

    codes: list[Tensor] = field(default_factory=list)
    """(X,) int64 each."""
    continuous: list[Tensor] = field(default_factory=list)
    """(X, C) each: what took these codes."""

    def add(self, out: Reconstruction) -> None:
        """Remember one pass."""
        if out.latents.codes is not None and out.pre_quant is not None:
            self.codes.append(out.latents.codes.flatten())
            self.continuous.append(out.pre_quant.detach().flatten(0, 1))

    def gathered(self, accelerator: Accelerator) -> CodesSeen:
        """Those of all processes, as one."""
        if not self.codes:
            return self
        codes, continuous = torch.cat(self.codes), torch.cat(self.continuous)
        return CodesSeen(
            codes=[accelerator.gather(codes)], continuous=[accelerator.gather(continuous)]
        )

    def logs(self, codebook: Codebook | None) -> dict[str, Tensor]:
        """Share of the codes that were taken, and perplexity, of gathered ones."""
        if codebook is None or not self.codes:
            return {}
        counts = torch.bincount(self.codes[0], minlength=len(codebook))
        use, perplexity = code_use(counts)
        return {
            "codebook_use": counts.new_tensor(use, dtype=torch.float32),
            "perplexity": counts.new_tensor(perplexity, dtype=torch.float32),
        }
