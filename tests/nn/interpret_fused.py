"""Compares the kernels of ``textok.nn.fused`` with the plain forms, by Triton's interpreter.

Run as a program of its own, with TRITON_INTERPRET=1: greatest differences as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from tests.generator.tiny import tiny_dit
from textok.config.generator import DiTShape, GuidanceConfig, SamplingConfig
from textok.nn import fused
from textok.nn.adaptive_block import modulate
from textok.nn.block import HeadNorm
from textok.types import Condition, TextFeatures

SHAPES = [(2, 3, 16), (1, 5, 1152), (3, 1, 7)]
"""B, K, D; D a power of two, that of DiT-XL, and odd."""


def apart(found: Tensor, wanted: Tensor) -> float:
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    return (found.float() - wanted.float()).abs().max().item()


@torch.inference_mode()
def adaptive(dtype: torch.dtype, seen: Callable[[str, float], None]) -> None:
    """All three forms; vectors of every image or one for all, as parts of one table."""
    for batch, count, width in SHAPES:
        for rows in (batch, 1):
            x = 3 + 2 * torch.randn(batch, count, width)
            y, table = torch.randn(batch, count, width), torch.randn(rows, 6 * width)
            shift, scale, gate, *_ = table.chunk(6, dim=-1)
            total = x + gate[:, None] * y
            wanted = [modulate(x, shift, scale), total, total, modulate(total, shift, scale)]
            x, y, table = x.to(dtype), y.to(dtype), table.to(dtype)
            shift, scale, gate, *_ = table.chunk(6, dim=-1)
            assert fused.usable(x)
            found = [
                fused.modulate(x, shift, scale),
                fused.add_gated(x, gate, y),
                *fused.add_and_modulate(x, gate, y, shift, scale),
            ]
            for name, one, other in zip("mgga", found, wanted, strict=True):
                seen(name, apart(one, other.to(dtype)))


@torch.inference_mode()
def heads(seen: Callable[[str, float], None]) -> None:
    """Of queries and keys as they lie in the output of one layer."""
    for batch, length, count, width in ((2, 5, 3, 8), (1, 4, 16, 72)):
        qkv = torch.randn(batch, length, 3 * count * width)
        q, k, _ = qkv.view(batch, length, 3, count, width).permute(2, 0, 3, 1, 4)
        norms = HeadNorm(width, eps=1e-6), HeadNorm(width, eps=1e-6)
        for norm in norms:
            torch.nn.init.normal_(norm.weight)
        weights = norms[0].weight, norms[1].weight
        found = fused.norm_heads(q, k, *weights, eps=1e-6)
        for norm, one, other in zip(norms, (q, k), found, strict=True):
            seen("heads", apart(other, norm(one)))


def network(condition: Literal["text", "class"], seen: Callable[[str, float], None]) -> None:
    """A whole path with guidance, and how often a kernel was started."""
    shape = DiTShape(width=12, depth=2, heads=2)  # no power of two
    dit = tiny_dit(network=shape, condition=condition, qk_norm=True)
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    text = TextFeatures(states=torch.randn(2, 5, 6), mask=mask)
    asked = {"text": Condition(text=text), "class": Condition(labels=torch.tensor([0, 4]))}
    sampling = SamplingConfig(steps=2, guidance=GuidanceConfig(scale=2))
    plain = dit.sample(asked[condition], sampling=sampling, seeds=[1, 2])
    fused.use_fused(dit, True)
    kernels, started = fused._kernels(), [0]
    for name in ("adaptive", "norm_heads"):
        own = getattr(kernels, name)
        setattr(kernels, name, Counting(own, started))
    seen(condition, apart(dit.sample(asked[condition], sampling=sampling, seeds=[1, 2]), plain))
    seen(f"{condition}, started", started[0])
    for name in ("adaptive", "norm_heads"):
        setattr(kernels, name, getattr(kernels, name).own)
    out = dit(torch.randn(2, 3, 4), torch.rand(2), asked[condition])
    assert out.requires_grad


class Counting:
    """A kernel that counts how often it is started."""

    def __init__(self, own: object, started: list[int]) -> None:
        self.own, self.started = own, started

    def __getitem__(self, grid: object) -> object:
        self.started[0] += 1
        return self.own[grid]  # type: ignore[index]


def main() -> None:
    """Print the greatest difference of each form."""
    torch.manual_seed(0)
    found: dict[str, float] = {}

    def seen(name: str, difference: float) -> None:
        found[name] = max(found.get(name, 0.0), difference)

    adaptive(torch.float32, seen)
    adaptive(torch.bfloat16, lambda name, value: seen(f"bf16 {name}", value))
    heads(seen)
    network("text", seen)
    network("class", seen)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
