"""Features that are not stored: encoded at each call, or once and kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from textok.config.data import TextConfig
from textok.text import FrozenTextEncoder, load_text_encoder, open_features, source
from textok.text.on_the_fly import REMEMBERED
from textok.text.open import same_features

CAPTIONS = ["a red dog", "a cat", "", "two large blue trees", "a cat"]


@pytest.fixture
def config(t5_folder: Path) -> TextConfig:
    return TextConfig(encoder=str(t5_folder), max_tokens=6)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The captions of each call of an encoder."""
    calls: list[list[str]] = []
    encode = FrozenTextEncoder.__call__

    def noting(self: FrozenTextEncoder, captions: Sequence[str]) -> object:
        calls.append(list(captions))
        return encode(self, captions)

    monkeypatch.setattr(FrozenTextEncoder, "__call__", noting)
    return calls


@pytest.mark.parametrize("store", ["exact", "nothing"])
def test_what_is_encoded_at_each_call_are_the_encoder_s_own_bits(
    config: TextConfig, calls: list[list[str]], tmp_path: Path, store: str
) -> None:
    expected = load_text_encoder(config)(CAPTIONS)
    folder = tmp_path if store == "nothing" else None
    text = open_features(replace(config, store=store), folder=folder)
    assert not text.prefetchable
    text.warm(CAPTIONS)
    text.finish()
    assert calls == [CAPTIONS] and not list(tmp_path.iterdir())
    assert torch.equal(text(CAPTIONS).states, expected.states)
    assert torch.equal(text(CAPTIONS).mask, expected.mask)
    assert calls == [CAPTIONS] * 3


def test_features_in_a_folder_are_computed_once(
    config: TextConfig, calls: list[list[str]], tmp_path: Path
) -> None:
    text = open_features(config, folder=tmp_path)
    assert text.prefetchable and text.precomputed(CAPTIONS) is text
    text.warm(CAPTIONS)
    assert text.cut == 0 and len(calls) == 1
    assert torch.equal(text(CAPTIONS).mask, open_features(config)(CAPTIONS).mask)
    assert len(calls) == 2


def test_each_precomputed_caption_is_encoded_once(
    config: TextConfig, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_BATCH", 3)
    text = open_features(config)
    kept = text.precomputed(CAPTIONS)
    assert calls == [["a red dog", "a cat", ""], ["two large blue trees"]]
    found = kept(CAPTIONS[::-1])
    assert len(calls) == 2 and kept.prefetchable
    expected = text(CAPTIONS[::-1])
    assert torch.equal(found.mask, expected.mask)
    torch.testing.assert_close(found.states, expected.states, atol=1e-5, rtol=0)


def test_one_by_one_a_caption_has_the_same_bits_in_any_company(
    config: TextConfig, calls: list[list[str]]
) -> None:
    text = open_features(config, one_by_one=True)
    together = text(CAPTIONS)
    assert calls == [[caption] for caption in dict.fromkeys(CAPTIONS)]
    alone = open_features(config, one_by_one=True)(["a cat"])
    assert torch.equal(together.states[1], alone.states[0])
    many = [f"{'a cat ' * (row % 4)}{row}" for row in range(REMEMBERED + 10)]
    calls.clear()
    assert torch.equal(text(many).states, text(many).states)
    assert len(calls) == len(many)
    text([*CAPTIONS, *many[-10:]])
    assert len(calls) == len(many) + len(set(CAPTIONS))
    with pytest.warns(UserWarning, match=r"text cut after '.*': .* reads 6 tokens"):
        text(["two large blue trees on white and a red dog"])


def test_the_way_of_storing_does_not_count_as_other_features(config: TextConfig) -> None:
    assert same_features(config, replace(config, store="nothing", shard=True, drop=0.9))
    assert not same_features(config, replace(config, max_tokens=7))
