"""What the papers' recipes cost, counted on paper: nothing is trained, no GPU is needed.

    python -m benchmarks.costs --out docs/results/costs

FLOPs are those of one image, forward and backward, counted by torch over the network's operations
without storage; a multiplication and an addition are two. Judges (perceptual network,
discriminator) and the frozen text encoder are not in them. GPU hours follow from the total at a
stated share of a stated peak. Memory is that of one GPU: weights, gradients, two moments of Adam
and the moving average in float32, 20 bytes a parameter, and what the backward pass keeps of the
images of one step on it, counted in 2 bytes a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from studies.command import run_command
from textok.config import (
    RunConfig,
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
)
from textok.config.presets import preset_path
from textok.config.read import load_config
from textok.evaluate.markdown import markdown_table
from textok.generator import DiT, MaskGIT
from textok.runtime.files import write_text
from textok.tokenizer import FlowDraw, Tokenizer
from textok.types import Condition, TextFeatures

PEAK = 989e12
"""FLOPs a second of an H100 SXM in bf16 without sparsity (NVIDIA's data sheet; an H200's too)."""
SHARE = 0.4
"""Of the peak that a training is taken to reach; an assumption."""
STATE = 20
"""Bytes a trained parameter: weight, gradient, two moments, average."""

BUDGETS = (32, 64, 128, 256)
CLASSES, CODES, CHANNELS = 1000, 4096, 8
T5_XL = 2048


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training of a paper."""

    presets: tuple[str, ...]
    kind: str
    tokens: int
    """Of a generator's latents; a tokenizer's preset has its own."""

    @property
    def command(self) -> str:
        return f"train {self.kind} {' '.join(self.presets)}"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What was counted."""

    parameters: int
    flops: int
    """Of an image, forward and backward."""
    kept: int
    """Bytes that the backward pass keeps of an image."""
    run: RunConfig

    @property
    def total(self) -> float:
        return float(self.flops) * self.run.steps * self.run.batch_size

    @property
    def hours(self) -> float:
        return self.total / (PEAK * SHARE) / 3600

    def memory(self, gpus: int) -> float:
        """GB on each of ``gpus`` that share the batch."""
        return (STATE * self.parameters + self.kept * self.run.batch_size / gpus) / 1e9


def recipes() -> Iterator[Recipe]:
    """The tables of TexTok, then TiTok's published models."""
    for base in ("textok-256", "textok-512"):
        for k in BUDGETS:
            presets = (base, f"k{k}")
            yield Recipe(presets=presets, kind="tokenizer", tokens=k)
            yield Recipe(presets=(*presets, "no-text"), kind="tokenizer", tokens=k)
            flow = base.replace("textok", "flow")
            yield Recipe(presets=(*presets, flow), kind="tokenizer", tokens=k)
    for base in ("dit-class", "dit-text"):
        for k in BUDGETS:
            yield Recipe(presets=(base,), kind="generator", tokens=k)
            yield Recipe(presets=(base, "dit-xl"), kind="generator", tokens=k)
    for size, k in (("titok-l", 32), ("titok-b", 64), ("titok-s", 128)):
        first = ("titok-stage1", size, f"k{k}")
        yield Recipe(presets=first, kind="tokenizer", tokens=k)
        yield Recipe(presets=(*first, "titok-stage2"), kind="tokenizer", tokens=k)
    for name, k in (("l32", 32), ("b64", 64), ("s128", 128)):
        yield Recipe(presets=(f"maskgit-titok-{name}",), kind="maskgit", tokens=k)


def count(recipe: Recipe) -> Cost:
    """Build the network without storage and run one image through it, forward and backward."""
    paths = [preset_path(name) for name in recipe.presets]
    if recipe.kind == "tokenizer":
        return count_tokenizer(load_config(TrainTokenizerConfig, paths))
    with torch.device("meta"):
        network, forward, run = _generator(recipe, paths)
        return _cost(network, forward, run)


def count_tokenizer(config: TrainTokenizerConfig) -> Cost:
    """The same of a tokenizer by its settings."""
    with torch.device("meta"):
        network, forward = _tokenizer(config)
        return _cost(network, forward, config.run)


def _cost(network: nn.Module, forward: Callable[[], Tensor], run: RunConfig) -> Cost:
    flops, kept = _passes(forward)
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return Cost(parameters=trained, flops=flops, kept=kept, run=run)


def _tokenizer(config: TrainTokenizerConfig) -> tuple[nn.Module, Callable[[], Tensor]]:
    shape = config.tokenizer
    tokenizer = Tokenizer(shape)
    if config.freeze_encoder:
        tokenizer.freeze_encoder()
    if tokenizer.vqgan_decoder is not None and not config.loss.pixels:
        tokenizer.vqgan_decoder.requires_grad_(False)
    images = torch.empty(1, 3, shape.image_size, shape.image_size)
    text = None if shape.text == "none" else _text(shape.text_tokens, shape.text_width)

    chance = None
    if shape.decoding == "flow":
        chance = FlowDraw(
            noise=torch.empty(1, shape.grid**2, 3 * shape.patch_size**2),
            time=torch.empty(1),
            drop_text=torch.zeros(1, dtype=torch.bool),
        )

    def forward() -> Tensor:
        out = tokenizer(images, text, pixels=config.loss.pixels, flow=chance)
        result = out.images if config.loss.pixels else out.logits
        assert result is not None
        return result

    return tokenizer, forward


def _generator(
    recipe: Recipe, paths: list[Path]
) -> tuple[nn.Module, Callable[[], Tensor], RunConfig]:
    k, by_class = recipe.tokens, recipe.presets[0] != "dit-text"
    known: dict[str, Any] = {"classes": CLASSES}
    if not by_class:
        known = {"text_width": T5_XL, "text_tokens": 128}
    labels = torch.empty(1, dtype=torch.int64)
    asked = Condition(labels=labels) if by_class else Condition(text=_text(128, T5_XL))
    if recipe.kind == "maskgit":
        masked = load_config(TrainMaskGITConfig, paths)
        shape = replace(masked.generator, num_tokens=k, codebook_size=CODES, **known)
        maskgit, codes = MaskGIT(shape), torch.empty(1, k, dtype=torch.int64)
        return maskgit, lambda: maskgit(codes, codes == 0, asked), masked.run
    config = load_config(TrainGeneratorConfig, paths)
    dit = DiT(replace(config.generator, num_tokens=k, channels=CHANNELS, **known))
    return dit, lambda: dit(torch.empty(1, k, CHANNELS), torch.empty(1), asked), config.run


def _text(tokens: int, width: int) -> TextFeatures:
    mask = torch.ones(1, tokens, dtype=torch.bool)
    return TextFeatures(states=torch.empty(1, tokens, width), mask=mask)


def _passes(forward: Callable[[], Tensor]) -> tuple[int, int]:
    """FLOPs of both passes, and bytes kept between them at 2 a number.

    Of attention the inputs and the output are kept, as fused kernels do, not its scores.
    """
    kept: dict[int, Tensor] = {}
    attention = F.scaled_dot_product_attention

    def keep(tensor: Tensor) -> Tensor:
        whole = tensor if tensor._base is None else tensor._base
        if not isinstance(whole, nn.Parameter):  # weights are there anyway
            kept[id(whole)] = whole
        return tensor

    def fused(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        with saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor):
            out = attention(q, k, v, **options)
        for tensor in (q, k, v, out):
            keep(tensor)
        return out

    with ExitStack() as stack:
        # Values cannot be looked at without storage, as in a compiled graph; autocast does not
        # know the device.
        stack.enter_context(patch("torch.compiler.is_compiling", lambda: True))
        stack.enter_context(patch("torch.autocast", lambda *args, **options: nullcontext()))
        stack.enter_context(patch("torch.nn.functional.scaled_dot_product_attention", fused))
        counter = stack.enter_context(FlopCounterMode(display=False))
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            out = forward()
        out.sum().backward()
    return int(counter.get_total_flops()), 2 * sum(tensor.numel() for tensor in kept.values())


def table(counted: Sequence[tuple[Recipe, Cost]]) -> list[str]:
    """Lines of a Markdown table."""
    heads = [
        "`textok` ...",
        "tokens",
        "trained M",
        "TFLOP an image",
        "batch x steps",
        "total",
        "H100 hours",
        "GB on each of 8",
    ]
    rows = [
        [
            f"`{recipe.command}`",
            str(recipe.tokens),
            f"{cost.parameters / 1e6:.0f}",
            f"{cost.flops / 1e12:.3f}",
            f"{cost.run.batch_size} x {cost.run.steps:,}",
            f"{cost.total:.1e}",
            f"{cost.hours:.0f}",
            f"{cost.memory(8):.0f}",
        ]
        for recipe, cost in counted
    ]
    return markdown_table(heads, rows)


def main(*, out: Path = Path("docs/results/costs")) -> None:
    """Count every recipe and write ``costs.md``.

    Args:
        out: Folder of the table.
    """
    counted = [(recipe, count(recipe)) for recipe in recipes()]
    head = [
        "    python -m benchmarks.costs",
        "",
        f"At {SHARE:.0%} of an H100's {PEAK / 1e12:.0f} TFLOPS in bf16 (assumed, not run), batch",
        "over 8 GPUs. Judges, text encoder, data and drawing are not in it. The command's `--help`",
        "says how it is counted.",
        "",
    ]
    text = "\n".join([*head, *table(counted)]) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "costs.md", text)
    print(text)


if __name__ == "__main__":
    run_command(main, "benchmarks.costs", description=__doc__)
