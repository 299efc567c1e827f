"""The run of a training: length, batch, precision, what is written and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textok.config.check import require, require_range
from textok.config.data import MOST_AT_ONCE
from textok.config.resume import may_change

TrackerName = Literal["tensorboard", "wandb", "trackio", "none"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The run: length, batch, precision, what is written and when."""

    out: str = may_change("")
    """Run folder; empty: ``runs/NAME`` after the preset. The same folder is continued."""
    steps: int = may_change(500_000)
    """Optimiser steps."""
    batch_size: int = 256
    """Images an optimiser step, over all processes and accumulation."""
    accumulate: int = may_change(1)
    """Micro-batches an optimiser step on each process."""
    seed: int = 0
    """Of the weights, the order of the data and all that is drawn at random."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """``bf16``: matrix products under autocast; weights stay in float32. On a CPU without AVX-512
    or SVE ``fp32`` all the same, which is fifty times as fast there."""
    ema: float = 0.999
    """Decay of the weights' moving average; 0 keeps none."""
    grad_checkpointing: bool = may_change(False)
    """Compute activations again in the backward pass: less memory, a third more time."""
    compile: bool = may_change(False)
    """Compile the network's blocks before the first step, and the discriminator and the networks
    of the loss unless a weight is adaptive."""
    log_every: int = may_change(50)
    """Steps between two lines of log.jsonl."""
    save_every: int = may_change(5_000)
    """Steps between two checkpoints."""
    save_minutes: float = may_change(5.0)
    """Also save when this many minutes have gone by; 0: by steps alone."""
    keep: int = may_change(2)
    """Newest checkpoints kept."""
    sheet_every: int = may_change(5_000)
    """Steps between reconstruction sheets."""
    validate_every: int = may_change(0)
    """Tokenizers: steps between two measurements of the averaged network on the validation split
    (PSNR, SSIM, LPIPS, a Frechet distance); 0 measures nothing."""
    validate_images: int = may_change(1_000)
    """Validation images measured, spread evenly over the split."""
    max_bad_steps: int = may_change(20)
    """Stop after this many non-finite steps in a row; each is skipped and counted."""
    shard: bool = may_change(False)
    """Generators: share weights, gradients and optimiser states out over the processes (FSDP2)
    instead of copying them to each."""
    publish_training_state: bool = may_change(False)
    """Beside the model also what another training needs to go on from it (``init_training_state``):
    weights before averaging, discriminator and optimiser states, in all some 3 times the size of
    the model and of the discriminator."""
    wait_minutes: float = may_change(10.0)
    """Stop when the next batch has not come for this long; 0 waits for ever."""
    tracker: TrackerName = may_change("tensorboard")
    """Also gets the scalars of log.jsonl and the sheets. ``wandb`` and ``trackio`` are packages of
    their own; ``none``: files alone."""
    project: str = may_change("textok")
    """Of ``wandb`` or ``trackio``, where the run has the name of its folder."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "log_every", "save_every", "keep"):
            require_range(f"run.{name}", getattr(self, name), 1)
        for name in ("sheet_every", "max_bad_steps"):
            require_range(f"run.{name}", getattr(self, name), 1)
        require_range("run.validate_every", self.validate_every, 0)
        require_range("run.validate_images", self.validate_images, 2)
        require(bool(self.project.strip()), "run.project is empty: name one, such as textok")
        require_range("run.seed", self.seed, 0)
        require_range("run.save_minutes", self.save_minutes, 0)
        require_range("run.wait_minutes", self.wait_minutes, 0, 525_600)
        require_range("run.batch_size", self.batch_size, 1, MOST_AT_ONCE)
        require(0 <= self.ema < 1, f"run.ema is {self.ema}: it must be in [0, 1)")
        require(
            self.batch_size % self.accumulate == 0,
            f"run.batch_size {self.batch_size} is not a multiple of run.accumulate "
            f"{self.accumulate}",
        )
