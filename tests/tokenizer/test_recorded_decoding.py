"""Decoding as one static graph: what a CUDA graph can be made of."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.static_graph import traced, watched
from textok.config import DecodingConfig, TokenizerConfig, ViTConfig
from textok.config.tokenizer import CodebookConfig
from textok.runtime.recorder import Recorder
from textok.tokenizer import Tokenizer
from textok.types import TextFeatures

SMALL = ViTConfig(width=16, depth=1, heads=2)
CONFIG: dict[str, Any] = {
    "image_size": 16,
    "patch_size": 4,
    "num_tokens": 4,
    "channels": 3,
    "text_width": 6,
    "text_tokens": 5,
    "encoder": SMALL,
    "decoder": SMALL,
}
KINDS: dict[str, dict[str, Any]] = {
    "pixels": {},
    "flow": {"decoding": "flow", "sampling": DecodingConfig(steps=3)},
    "codes": {"bottleneck": "vq", "codebook": CodebookConfig(size=8)},
}


def make(kind: str) -> Tokenizer:
    torch.manual_seed(0)
    made = Tokenizer(TokenizerConfig(**CONFIG, **KINDS[kind])).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def known(kind: str, seed: int, length: int = 5) -> tuple[Tensor, TextFeatures]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(2, 4, 3, generator=generator)
    if kind == "codes":
        tokens = torch.randint(8, (2, 4), generator=generator)
    states = torch.randn(2, length, 6, generator=generator)
    mask = torch.ones(2, length, dtype=torch.bool)
    return tokens, TextFeatures(states=states, mask=mask)


@torch.inference_mode()
def decode(model: Tokenizer, by: Recorder | None, *given: Any, **named: Any) -> Tensor:
    model.recorder = by
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return model.decode(*given, **named)


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_is_a_static_graph_of_tokens_captions_and_noise(kind: str) -> None:
    model, by = make(kind), Recorder(device_type="cpu", record=traced)
    drawn = []
    for seed in (1, 2):
        given, seeds = known(kind, seed), [seed, seed + 1]
        drawn.append(decode(model, by, *given, seeds=seeds))
        plain = decode(model, None, *given, seeds=seeds)
        torch.testing.assert_close(drawn[-1], plain, rtol=0, atol=0)
    assert (drawn[0] - drawn[1]).abs().max() > 0.01
    short = known(kind, 3, length=2)
    torch.testing.assert_close(decode(model, by, *short), decode(model, None, *short))
    assert len(by._recordings) == 1
    tokens, _ = known(kind, 4)
    plain = decode(model, None, tokens)
    torch.testing.assert_close(decode(model, by, tokens), plain, rtol=0, atol=0)
    assert len(by._recordings) == 2


@pytest.mark.parametrize("kind", ["pixels", "flow"])
def test_the_host_waits_for_nothing_while_decoding(kind: str) -> None:
    by = Recorder(device_type="meta", record=watched)
    tokens, text = known(kind, 1)
    images = decode(make(kind).to("meta"), by, tokens.to("meta"), text.to("meta"))
    assert images.is_meta and images.shape == (2, 3, 16, 16)
    assert len(by._recordings) == 1
