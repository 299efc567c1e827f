"""What T5's features of ImageNet's captions cost, stored and on the fly, counted: nothing is run.

    python -m benchmarks.text_costs --out docs/results/costs

Bytes are those of a caption's real tokens, exact in bf16 or float8 with its scales. FLOPs of the
encoder are counted by torch over transformers' T5 without storage, forward alone; those of a
training step are `benchmarks.costs`', forward and backward. Both run at the same stated share of a
stated peak. Stored features are computed once and read in every step; on the fly they are computed
in every step and not stored. A caption of an image counts once however many it has: several
multiply the disk, not the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.costs import PEAK, SHARE, Cost, Recipe, count
from studies.command import run_command
from textok.evaluate.markdown import markdown_table
from textok.runtime.files import write_text

CAPTIONS = 1_281_167
"""One for each training image of ImageNet."""
TOKENS = 75
"""Of a caption; an assumption."""
POOL = 16
LAYERS = 24
"""Of T5 v1.1's encoders, XL and XXL."""
SCALE = 4
"""Bytes of a token's scale in float8."""

RECIPES = (
    Recipe(presets=("textok-256", "k128"), kind="tokenizer", tokens=128),
    Recipe(presets=("textok-512", "k128"), kind="tokenizer", tokens=128),
    Recipe(presets=("dit-text",), kind="generator", tokens=128),
    Recipe(presets=("dit-text", "dit-xl"), kind="generator", tokens=128),
)
"""What reads captions in every step."""


@dataclass(frozen=True, kw_only=True)
class T5:
    """Sizes of a T5 v1.1 encoder."""

    name: str
    width: int
    hidden: int
    heads: int

    def config(self, layers: int = LAYERS) -> transformers.T5Config:
        """Settings of an encoder of so many of its layers."""
        return transformers.T5Config(
            d_model=self.width,
            d_ff=self.hidden,
            num_heads=self.heads,
            num_layers=layers,
            vocab_size=32128,
            feed_forward_proj="gated-gelu",
        )

    def counted(self) -> TextCost:
        """Parameters, and FLOPs of the forward pass of a caption."""
        # Values cannot be looked at without storage, as in a compiled graph.
        with torch.device("meta"), patch("torch.compiler.is_compiling", lambda: True):
            encoder = transformers.T5EncoderModel(self.config())
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                encoder(input_ids=torch.zeros(1, TOKENS, dtype=torch.int64))
        parameters = sum(p.numel() for p in encoder.parameters())
        return TextCost(model=self, parameters=parameters, flops=counter.get_total_flops())


XL = T5(name="T5-XL", width=2048, hidden=5120, heads=32)
XXL = T5(name="T5-XXL", width=4096, hidden=10240, heads=64)


@dataclass(frozen=True, kw_only=True)
class TextCost:
    """What was counted of an encoder."""

    model: T5
    parameters: int
    flops: int
    """Of a caption, forward."""

    def stored(self, tokens: int, *, float8: bool) -> int:
        """Bytes of a caption."""
        return tokens * (self.model.width + SCALE if float8 else 2 * self.model.width)

    def hours(self, captions: float) -> float:
        """GPU hours of encoding."""
        return self.flops * captions / (PEAK * SHARE) / 3600


def stored_table(costs: list[TextCost]) -> list[str]:
    """Lines of the table of what is stored."""
    heads = [
        "text encoder",
        "parameters B",
        "TFLOP a caption",
        "H100 hours for all",
        "tokens kept",
        "kB a caption: bf16, float8",
        "GB for all: bf16, float8",
    ]
    rows = []
    for cost in costs:
        for tokens in (TOKENS, POOL):
            sizes = [cost.stored(tokens, float8=float8) for float8 in (False, True)]
            rows.append(
                [
                    cost.model.name,
                    f"{cost.parameters / 1e9:.1f}",
                    f"{cost.flops / 1e12:.3f}",
                    f"{cost.hours(CAPTIONS):.2f}",
                    f"{tokens}" if tokens == TOKENS else f"{tokens} (`text.pool={tokens}`)",
                    ", ".join(f"{size / 1e3:.0f}" for size in sizes),
                    ", ".join(f"{size * CAPTIONS / 1e9:.0f}" for size in sizes),
                ]
            )
    return markdown_table(heads, rows)


def step_table(recipes: list[tuple[Recipe, Cost]], costs: list[TextCost]) -> list[str]:
    """Lines of the table of what is encoded, or read, in every step."""
    heads = [
        "`textok` ...",
        "TFLOP an image",
        "text encoder",
        "on the fly adds",
        "H100 hours: training, on the fly",
        "MB/s that a GPU reads of stored ones: bf16, float8",
    ]
    rows = []
    for recipe, step in recipes:
        speed = PEAK * SHARE / step.flops
        for cost in costs:
            sizes = [cost.stored(TOKENS, float8=float8) for float8 in (False, True)]
            rows.append(
                [
                    f"`{recipe.command}`",
                    f"{step.flops / 1e12:.3f}",
                    cost.model.name,
                    f"{cost.flops / step.flops:.0%}",
                    f"{step.hours:.0f}, {cost.hours(step.run.steps * step.run.batch_size):.0f}",
                    ", ".join(f"{size * speed / 1e6:.0f}" for size in sizes),
                ]
            )
    return markdown_table(heads, rows)


def main(*, out: Path = Path("docs/results/costs")) -> None:
    """Count encoders and steps and write ``text.md``.

    Args:
        out: Folder of the tables.
    """
    costs = [model.counted() for model in (XL, XXL)]
    recipes = [(recipe, count(recipe)) for recipe in RECIPES]
    text = "\n".join(
        [
            "    python -m benchmarks.text_costs",
            "",
            f"{CAPTIONS:,} captions of {TOKENS} tokens, at {SHARE:.0%} of an H100's "
            f"{PEAK / 1e12:.0f} TFLOPS in bf16 (assumed, not",
            "run). Judges are not in a step. The command's `--help` says how it is counted.",
            "",
            *stored_table(costs),
            "",
            *step_table(recipes, costs),
            "",
        ]
    )
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "text.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main, "benchmarks.text_costs", description=__doc__)
