"""A DiT of a few thousand weights, as after some training."""

from __future__ import annotations

from dataclasses import replace

import torch

from textok.config.generator import DiTShape, GeneratorConfig
from textok.generator import DiT

TINY = GeneratorConfig(
    num_tokens=3,
    channels=4,
    network=DiTShape(width=16, depth=2, heads=2),
    classes=5,
    text_width=6,
    text_tokens=5,
)


def tiny_dit(*, seed: int = 0, **changes: object) -> DiT:
    """``TINY`` with ``changes``, its weights away from the start, where a DiT gives zero."""
    torch.manual_seed(seed)
    made = DiT(replace(TINY, **changes)).eval()  # type: ignore[arg-type]
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made
