"""Captions without padding are attended to without a mask, which changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from textok.config import TokenizerConfig, ViTConfig
from textok.config.generator import DiTShape, GeneratorConfig
from textok.generator import DiT
from textok.tokenizer import Tokenizer
from textok.train.randomness import RandomSource, StepRandomness
from textok.types import Condition, TextFeatures

VIT = ViTConfig(width=32, depth=2, heads=2)


def text(*lengths: int) -> TextFeatures:
    states = torch.randn(len(lengths), 5, 10, generator=torch.Generator().manual_seed(2))
    return TextFeatures(states=states, mask=torch.arange(5) < torch.tensor(lengths)[:, None])


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> list[Tensor | None]:
    """Those that attention was given so far."""
    seen: list[Tensor | None] = []
    attend: Any = F.scaled_dot_product_attention

    def noted(*given: Any, attn_mask: Tensor | None = None, **options: Any) -> Tensor:
        seen.append(attn_mask)
        return attend(*given, attn_mask=attn_mask, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    return seen


def test_a_mask_on_the_host_is_known() -> None:
    assert not text(5, 5).full  # nobody has looked yet
    full, padded = text(5, 5).to("cpu"), text(5, 4).to("cpu")
    assert full.full and full.attended is None
    assert not padded.full and padded.attended is padded.mask
    assert full[:1].full and full.to("cpu").full
    assert not full.drop(torch.tensor([False, True])).full
    assert TextFeatures.cat([full, full]).full
    assert not TextFeatures.cat([full, padded]).full
    longer = TextFeatures(states=torch.zeros(1, 6, 10), mask=torch.ones(1, 6).bool()).to("cpu")
    assert longer.full and not TextFeatures.cat([full, longer]).full


def test_condition_that_is_never_dropped_stays_known() -> None:
    condition, drawn = Condition(text=text(5, 5)).to("cpu"), StepRandomness(drop=torch.zeros(2) > 0)
    kept = RandomSource(seed=0, batch_size=2).dropped(condition, drawn).text
    dropped = RandomSource(seed=0, batch_size=2, drop=0.1).dropped(condition, drawn).text
    assert kept is not None and kept.full
    assert dropped is not None and not dropped.full


@pytest.mark.parametrize("decoding", ["direct", "flow"])
def test_a_tokenizer_needs_no_mask_for_full_captions(
    masks: list[Tensor | None], decoding: Any
) -> None:
    torch.manual_seed(0)
    config = TokenizerConfig(
        image_size=16,
        patch_size=4,
        num_tokens=6,
        channels=3,
        text_width=10,
        text_tokens=5,
        encoder=VIT,
        decoder=VIT,
        decoding=decoding,
    )
    model, images = Tokenizer(config).eval(), torch.rand(2, 3, 16, 16) * 2 - 1
    given, found = text(5, 5), []
    for features in (given, given.to("cpu")):
        latents = model.encode(images, features)
        found.append((latents.mean, model.decode(latents, features)))
        assert all((mask is None) == features.full for mask in masks)
        masks.clear()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_hidden_tokens_still_need_one(masks: list[Tensor | None]) -> None:
    torch.manual_seed(0)
    shape = {"image_size": 16, "patch_size": 4, "num_tokens": 6, "channels": 3, "nested": True}
    config = TokenizerConfig(**shape, text_width=10, text_tokens=5, encoder=VIT, decoder=VIT)  # type: ignore[arg-type]
    model, images = Tokenizer(config).eval(), torch.rand(2, 3, 16, 16) * 2 - 1
    given, keep = text(5, 5), torch.tensor([2, 6])
    one, other = (
        model(images, features, keep_B=keep).images for features in (given, given.to("cpu"))
    )
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert any(mask is not None for mask in masks)


def test_a_dit_needs_no_mask_for_full_captions(masks: list[Tensor | None]) -> None:
    torch.manual_seed(0)
    config = GeneratorConfig(
        network=DiTShape(width=32, depth=2, heads=2),
        num_tokens=6,
        channels=3,
        condition="text",
        text_width=10,
        text_tokens=5,
        pooled_text=True,
    )
    network, found = DiT(config), []
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    tokens, times = torch.randn(2, 6, 3), torch.tensor([0.9, 0.2])
    given = Condition(text=text(5, 5))
    for condition in (given, given.to("cpu")):
        network.zero_grad()
        out = network(tokens, times, condition)
        out.square().mean().backward()
        found.append([out, *(parameter.grad for parameter in network.parameters())])
        assert condition.text is not None
        crossed = masks[1::2]
        assert len(crossed) == 2 and all((m is None) == condition.text.full for m in crossed)
        masks.clear()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
    partly = replace(text(5, 5), mask=torch.arange(5).expand(2, 5) < 3)
    assert not torch.allclose(network(tokens, times, Condition(text=partly)), out)
