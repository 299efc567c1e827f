"""Weights and inputs as pure functions of names and seeds: fixtures need not hold them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

GAINS = {
    "in_proj_weight": 2,
    "query.weight": 2,
    "key.weight": 2,
    "qkv.weight": 2,
    "patch_embed.weight": 5,
    "decoder_embed.weight": 5,
    "ffn.2.weight": 8,
    "pos_embed": 4,
    "embeddings.weight": 4,
}
"""Of what makes outputs depend on inputs: attention that chooses, inputs that are heard."""


def weight(key: str, shape: Sequence[int]) -> Tensor:
    """Normal numbers drawn by the key: of spread 1 / sqrt(inputs), norms near 1, biases near 0."""
    values = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(tuple(shape))
    if len(shape) > 1:
        gain = next((gain for end, gain in GAINS.items() if key.endswith(end)), 1)
        values *= gain / np.sqrt(np.prod(shape[1:]))
    else:
        values = 0.1 * values + key.endswith("weight")
    return torch.from_numpy(values.astype(np.float32))


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    return {key: weight(key, shape) for key, shape in shapes.items()}


def images(count: int, size: int, *, seed: int = 0) -> Tensor:
    """(count, 3, size, size) in [0, 1]: blocks of colour under noise."""
    random = np.random.RandomState(seed)
    blocks = random.uniform(size=(count, 3, 4, 4)).repeat(size // 4, 2).repeat(size // 4, 3)
    noisy = blocks + 0.2 * random.standard_normal((count, 3, size, size))
    return torch.from_numpy(noisy.clip(0, 1).astype(np.float32))


def text(count: int, tokens: int, width: int, *, seed: int = 1) -> Tensor:
    """(count, tokens, width) states of captions."""
    values = np.random.RandomState(seed).standard_normal((count, tokens, width))
    return torch.from_numpy(values.astype(np.float32))


def masked(count: int, tokens: int, codes: int, *, seed: int = 2) -> tuple[Tensor, Tensor]:
    """(count, tokens) int64 codes, and bool where they are hidden: from all to few of a row."""
    random = np.random.RandomState(seed)
    hidden = random.uniform(size=(count, tokens)) < np.linspace(1, 0.1, count)[:, None]
    return torch.from_numpy(random.randint(codes, size=(count, tokens))), torch.from_numpy(hidden)


def classes(count: int, number: int, *, seed: int = 3) -> Tensor:
    """(count,) int64 classes, -1 (no class in particular) for every fourth."""
    labels = np.random.RandomState(seed).randint(number, size=count)
    labels[::4] = -1
    return torch.from_numpy(labels)
