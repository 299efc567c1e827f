"""Small masked generators for the tests, and what they are asked."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from textok.config.maskgit import MaskGITConfig
from textok.config.tokenizer import ViTConfig
from textok.generator import MaskGIT
from textok.types import Condition, TextFeatures

K, V = 6, 11
CONFIG = MaskGITConfig(
    num_tokens=K, codebook_size=V, network=ViTConfig(width=32, depth=4, heads=2), text_width=10,
    text_tokens=5, classes=4,
)  # fmt: skip
KINDS: dict[str, dict[str, object]] = {
    "bert": {"condition": "class"},
    "uvit": {"condition": "class", "architecture": "uvit"},
    "bert text": {},
    "uvit text": {"architecture": "uvit"},
}


def make(**changes: object) -> MaskGIT:
    """A network far from its start, as after some training."""
    torch.manual_seed(0)
    network = MaskGIT(dataclasses.replace(CONFIG, **changes))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return network.eval()


def codes(batch: int = 3) -> Tensor:
    return torch.randint(V, (batch, K), generator=torch.Generator().manual_seed(1))


MASK = torch.tensor([[1, 1, 0, 0, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]]).bool()


def text(lengths: tuple[int, ...] = (5, 0, 2), total: int = 5) -> Condition:
    states = torch.randn(len(lengths), total, 10, generator=torch.Generator().manual_seed(2))
    mask = torch.arange(total) < torch.tensor(lengths)[:, None]
    return Condition(text=TextFeatures(states=states, mask=mask))


def labels(*values: int) -> Condition:
    return Condition(labels=torch.tensor(values))


def condition(network: MaskGIT) -> Condition:
    return labels(3, -1, 0) if network.config.condition == "class" else text()
