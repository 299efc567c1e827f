"""Which codes a step's images took, from all micro-batches and processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textok.nn.codebook import RevivingCodebook, code_use
from textok.train.distributed import Distributed
from textok.train.objective import Outcome, Quantised


@dataclass(frozen=True, kw_only=True)
class CodebookUse:
    """All that went through the codebook in one step; None for networks without one."""

    quantised: Quantised | None

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], distributed: Distributed) -> CodebookUse:
        """That of the micro-batches of all processes."""
        parts = [outcome.quantised for outcome in outcomes if outcome.quantised is not None]
        if not parts:
            return cls(quantised=None)
        codes = distributed.gather(torch.cat([part.codes for part in parts]))
        pre_quant = distributed.gather(torch.cat([part.pre_quant for part in parts]))
        whole = Quantised(codebook=parts[0].codebook, pre_quant=pre_quant, codes=codes)
        return cls(quantised=whole)

    def revive(self) -> None:
        """Move codes that are hardly used, in a codebook that does so and is not frozen."""
        if self.quantised is None:
            return
        codebook = self.quantised.codebook
        if isinstance(codebook, RevivingCodebook) and codebook.vectors.requires_grad:
            codebook.revive(self.quantised.pre_quant, self.quantised.codes)

    def logs(self) -> dict[str, Tensor]:
        """Share of the codes that were taken, and their perplexity."""
        if self.quantised is None:
            return {}
        counts = torch.bincount(self.quantised.codes, minlength=len(self.quantised.codebook))
        values = dict(zip(("codebook_use", "perplexity"), code_use(counts), strict=True))
        return {
            name: counts.new_tensor(value, dtype=torch.float32) for name, value in values.items()
        }
