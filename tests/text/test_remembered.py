from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from textok.config.data import TextConfig
from textok.text import load_text_encoder, remembered
from textok.text.remembered import RememberedText
from textok.types import TextFeatures

CAPTIONS = ["a red dog", "a cat", "", "two large blue trees", "a cat"]


def test_each_caption_is_asked_once_and_never_again(
    t5_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "_BATCH", 3)
    encoder = load_text_encoder(TextConfig(encoder=str(t5_folder), max_tokens=6))
    asked: list[Sequence[str]] = []

    def noting(captions: Sequence[str]) -> TextFeatures:
        asked.append(captions)
        return encoder(captions)

    text = RememberedText(noting, CAPTIONS)
    assert asked == [["a red dog", "a cat", ""], ["two large blue trees"]]
    found, expected = text(CAPTIONS[::-1]), encoder(CAPTIONS[::-1])
    assert len(asked) == 2
    assert torch.equal(found.mask, expected.mask)
    torch.testing.assert_close(found.states, expected.states, atol=1e-5, rtol=0)
