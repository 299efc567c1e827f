"""Low-rank adapters: a fine-tuning of few weights beside frozen ones."""

from __future__ import annotations

from dataclasses import dataclass

from textok.config.check import require, require_range
from textok.config.run import RunConfig


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """LoRA (Hu et al. 2021, arXiv 2106.09685) on the attention and MLP layers of all blocks."""

    rank: int = 0
    """Of the matrices that are trained in place of the weights; 0 trains the weights."""
    alpha: float = 16.0
    """The adapters' part is scaled by alpha / rank."""

    def __post_init__(self) -> None:
        require_range("lora.rank", self.rank, 0)
        require_range("lora.alpha", self.alpha, 0, open_low=True)

    @property
    def on(self) -> bool:
        return self.rank > 0

    def check(self, init: str, run: RunConfig) -> None:
        """Raise ValueError where adapters have nothing to adapt, or the run cannot have them."""
        if not self.on:
            return
        require(init != "", "lora.rank is above 0 but init is empty: name the model to adapt")
        for name in ("shard", "compile", "publish_training_state"):
            require(
                not getattr(run, name),
                f"run.{name} cannot be combined with lora.rank above 0: set it to false",
            )
