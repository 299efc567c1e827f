"""What fine-tuning costs on one GPU, counted as in benchmarks.costs: nothing is trained.

    python -m benchmarks.fine_tuning_costs --out docs/results/costs

Frozen weights take 8 bytes a parameter, the weight and its average; gradients and moments are of
what is trained. Judges, text encoder, data and drawing are not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from benchmarks.costs import PEAK, SHARE, STATE, Recipe, _generator, _passes, _tokenizer
from studies.command import run_command
from textok.config import TrainTokenizerConfig
from textok.config.lora import LoraConfig
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text
from textok.tokenizer import Tokenizer
from textok.train.lora import add_adapters

FROZEN = 8
"""Bytes a frozen parameter: weight and average."""
BATCH, IMAGES, RANK = 32, 100_000, 16

Trains = Literal["everything", "decoder", "adapters"]


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """One kind of fine-tuning of the model of a recipe."""

    recipe: Recipe
    trains: Trains


@dataclass(frozen=True, kw_only=True)
class FineTuningCost:
    """What was counted."""

    trained: int
    frozen: int
    flops: int
    """Of an image, forward and backward."""
    kept: int
    """Bytes that the backward pass keeps of an image."""

    @property
    def hours(self) -> float:
        """H100 hours for ``IMAGES``."""
        return self.flops * IMAGES / (PEAK * SHARE) / 3600

    @property
    def memory(self) -> float:
        """GB at a batch of ``BATCH``."""
        return (STATE * self.trained + FROZEN * self.frozen + self.kept * BATCH) / 1e9


def fine_tunings() -> Iterator[FineTuning]:
    """Released TiTok, a TexTok tokenizer, the bundled one, and a DiT."""
    titok = Recipe(
        presets=("titok-stage1", "titok-l", "k32", "titok-stage2"), kind="tokenizer", tokens=32
    )
    every: tuple[tuple[Recipe, tuple[Trains, ...]], ...] = (
        (titok, ("decoder", "adapters")),
        (
            Recipe(presets=("textok-256", "k32"), kind="tokenizer", tokens=32),
            ("everything", "decoder", "adapters"),
        ),
        (
            Recipe(presets=("products-64",), kind="tokenizer", tokens=8),
            ("everything", "decoder", "adapters"),
        ),
        (
            Recipe(presets=("dit-class",), kind="generator", tokens=32),
            ("everything", "adapters"),
        ),
    )
    for recipe, kinds in every:
        yield from (FineTuning(recipe=recipe, trains=kind) for kind in kinds)


def count(asked: FineTuning) -> FineTuningCost:
    """Build the network without storage and run one image through it, forward and backward."""
    recipe, paths = asked.recipe, [preset_path(name) for name in asked.recipe.presets]
    with torch.device("meta"):
        if recipe.kind == "tokenizer":
            network, forward = _tokenizer(load_config(TrainTokenizerConfig, paths))
        else:
            network, forward, _ = _generator(recipe, paths)
        if asked.trains == "decoder":
            assert isinstance(network, Tokenizer)
            network.freeze_encoder()
        if asked.trains == "adapters":
            under = "decoder" if recipe.kind == "tokenizer" else ""
            add_adapters(network, LoraConfig(rank=RANK), under=under)
        flops, kept = _passes(forward)
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    return FineTuningCost(trained=trained, frozen=frozen, flops=flops, kept=kept)


def main(*, out: Path = Path("docs/results/costs")) -> None:
    """Count every kind of fine-tuning and write ``fine-tuning.md``.

    Args:
        out: Folder of the table.
    """
    rows = []
    for asked in fine_tunings():
        cost = count(asked)
        rows.append(
            [
                f"`{asked.recipe.command}`",
                asked.trains,
                f"{cost.trained / 1e6:.1f}",
                f"{cost.frozen / 1e6:.1f}",
                f"{cost.flops / 1e12:.3f}",
                f"{cost.memory:.1f}",
                f"{cost.hours:.2f}",
            ]
        )
    heads = [
        "model of",
        "trained",
        "trained M",
        "frozen M",
        "TFLOP an image",
        f"GB at batch {BATCH}",
        f"H100 hours for {IMAGES:,} images",
    ]
    head = [
        "    python -m benchmarks.fine_tuning_costs",
        "",
        f"One GPU, at {SHARE:.0%} of an H100's {PEAK / 1e12:.0f} TFLOPS in bf16 (not run),",
        f"adapters of rank {RANK}. Judges, text encoder, data and drawing are not in it.",
        "",
    ]
    text = "\n".join([*head, *markdown_table(heads, rows)]) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "fine-tuning.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main, "benchmarks.fine_tuning_costs", description=__doc__)
