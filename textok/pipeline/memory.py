"""Whether a batch can go through a tokenizer at all, before anything long is done."""

from __future__ import annotations

import torch

from textok.config import TokenizerConfig
from textok.runtime.memory import check_rows

OF_A_BLOCK = 5
"""Numbers of its width that a block holds of a token at once: its states, and four times as many
inside its MLP."""


def check_batch(rows: int, shape: TokenizerConfig, device: torch.device, *, setting: str) -> None:
    """Raise ValueError where ``rows`` images need more main memory than is free.

    Counted are their pixels in float32, before and after, and one block's numbers in 16 bits.
    """
    pixels = 3 * shape.image_size**2
    width = max(shape.encoder.width, shape.decoder.width)
    block = OF_A_BLOCK * width * (shape.grid**2 + shape.num_tokens)
    here = device.type == "cpu"
    check_rows(rows, 4 * pixels * (1 + here) + 2 * block * here, setting=setting)
