from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from textok.config.data import TextConfig
from textok.text import FeatureCache, cache, load_text_encoder, shard
from textok.types import TextFeatures

CAPTIONS = ["a red dog", "a cat", "two large blue trees", "a", "", "green circle on white", "a red"]
DISTINCT = sorted(set(CAPTIONS) - {""})


class CountingEncoder:
    """An encoder that notes what it is asked, and may be interrupted."""

    def __init__(self, config: TextConfig) -> None:
        self._encoder = load_text_encoder(config)
        self.vocabulary = self._encoder.vocabulary
        self.asked: list[str] = []
        self.loads = 0
        self.interrupt_after = 10**9

    @property
    def cut(self) -> int:
        return self._encoder.cut

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        if len(self.asked) >= self.interrupt_after:
            raise KeyboardInterrupt
        self.asked += captions
        return self._encoder(captions)

    def load(self, *_: Any, **__: Any) -> CountingEncoder:
        self.loads += 1
        return self


@pytest.fixture
def config(t5_folder: Path) -> TextConfig:
    return TextConfig(encoder=str(t5_folder), max_tokens=6)


@pytest.fixture
def encoder(config: TextConfig, monkeypatch: pytest.MonkeyPatch) -> CountingEncoder:
    counting = CountingEncoder(config)
    monkeypatch.setattr(cache, "load_text_encoder", counting.load)
    monkeypatch.setattr(cache, "_BATCH", 2)
    return counting


def shards(features: FeatureCache) -> list[Path]:
    return sorted(features.folder.glob("*.safetensors"))


def test_gives_what_the_encoder_gives(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path
) -> None:
    asked = [*CAPTIONS, "a cat"]
    features, expected = FeatureCache(config, tmp_path)(asked), load_text_encoder(config)(asked)
    assert features.states.shape == (8, 6, 16)
    assert torch.equal(features.mask, expected.mask)
    torch.testing.assert_close(features.states, expected.states, atol=1e-5, rtol=0)
    assert not features.mask[4].any()


def test_keeps_the_states_of_padding(clip_folder: Path, tmp_path: Path) -> None:
    config = TextConfig(encoder=str(clip_folder), max_tokens=9, padding=True)
    expected = load_text_encoder(config)(CAPTIONS)
    for _ in range(2):  # encoded, then read
        features = FeatureCache(config, tmp_path)(CAPTIONS)
        assert torch.equal(features.mask, expected.mask)
        torch.testing.assert_close(features.states, expected.states, atol=1e-5, rtol=0)


def test_no_caption_is_encoded_twice(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path
) -> None:
    first = FeatureCache(config, tmp_path)
    first.warm(CAPTIONS * 2, progress=False)
    before = first(CAPTIONS)
    assert sorted(encoder.asked) == DISTINCT

    again = FeatureCache(config, tmp_path)
    again.warm(CAPTIONS, progress=False)
    assert torch.equal(again(CAPTIONS).states, before.states)
    assert (sorted(encoder.asked), encoder.loads) == (DISTINCT, 1)

    again(["a dog", "a cat"])
    again(["a dog", "a cat"])
    assert encoder.asked[len(DISTINCT) :] == ["a dog"]


def test_an_interrupted_warm_up_goes_on_to_the_same_bits(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path
) -> None:
    through = FeatureCache(config, tmp_path / "through")
    through.warm(CAPTIONS, progress=False)
    encoder.asked.clear()

    encoder.interrupt_after = 4
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(config, tmp_path / "cut").warm(CAPTIONS, progress=False)
    assert len(encoder.asked) == 4
    encoder.interrupt_after = 100
    resumed = FeatureCache(config, tmp_path / "cut")
    resumed.warm(CAPTIONS, progress=False)

    assert sorted(encoder.asked) == DISTINCT
    assert torch.equal(resumed(CAPTIONS).states, through(CAPTIONS).states)


def test_shards_hold_real_tokens_alone_and_are_cut_by_size(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_SHARD_BYTES", 1)
    features = FeatureCache(config, tmp_path)
    features.warm(CAPTIONS, progress=False)
    assert len(shards(features)) == 3  # six captions, two a batch
    rows = sum(len(load_file(path)["states"]) for path in shards(features))
    assert rows == int(features(DISTINCT).mask.sum()) == 4 + 3 + 5 + 2 + 5 + 3


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    states = load_file(path)["states"]
    at = content.find(states[0, :4].numpy().tobytes())
    assert at > 0
    content[at] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def overwrite(path: Path) -> None:
    path.write_bytes(b"not features")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, truncate, overwrite, empty])
def test_a_damaged_shard_is_named_set_aside_and_replaced(
    damage: Any,
    config: TextConfig,
    encoder: CountingEncoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cache, "_SHARD_BYTES", 1)
    features = FeatureCache(config, tmp_path)
    features.warm(CAPTIONS, progress=False)
    expected = features(CAPTIONS).states
    broken = shards(features)[1]
    damage(broken)
    encoder.asked.clear()

    with caplog.at_level(logging.WARNING):
        assert torch.equal(FeatureCache(config, tmp_path)(CAPTIONS).states, expected)

    assert str(broken) in caplog.text
    assert not broken.exists()
    assert broken.with_name(broken.name + ".bad").exists()
    assert len(encoder.asked) == 2


def test_an_unfinished_file_is_no_shard(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path
) -> None:
    features = FeatureCache(config, tmp_path)
    (features.folder / "0.part").write_bytes(b"half")
    features.warm(CAPTIONS, progress=False)
    assert [p.suffix for p in sorted(features.folder.iterdir())] == [".part", ".safetensors"]


def test_processes_share_a_folder(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path
) -> None:
    waiting, warming = FeatureCache(config, tmp_path), FeatureCache(config, tmp_path)
    warming.warm(CAPTIONS, progress=False)
    assert torch.equal(waiting(CAPTIONS).states, warming(CAPTIONS).states)
    assert sorted(encoder.asked) == DISTINCT


def test_simultaneous_writers_do_not_disturb_each_other(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_SHARD_BYTES", 1)
    both_opened = threading.Barrier(2)

    def write() -> None:
        features = FeatureCache(config, tmp_path)
        both_opened.wait()
        features.warm(CAPTIONS, progress=False)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    encoder.asked.clear()
    features = FeatureCache(config, tmp_path)(CAPTIONS)
    assert encoder.asked == []
    expected = load_text_encoder(config)(CAPTIONS).states
    torch.testing.assert_close(features.states, expected, atol=1e-5, rtol=0)


def test_other_settings_have_other_folders(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path
) -> None:
    other = TextConfig(encoder=config.encoder, max_tokens=5)
    assert FeatureCache(config, tmp_path).folder != FeatureCache(other, tmp_path).folder


def test_cut_captions_are_remembered(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path
) -> None:
    long = "a red dog with two large blue trees"
    FeatureCache(config, tmp_path).warm([*CAPTIONS, long], progress=False)
    features = FeatureCache(config, tmp_path)
    assert features.cut == 1
    assert features([long]).mask.all()


def test_the_bar_counts_what_is_missing(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = FeatureCache(config, tmp_path)
    features(CAPTIONS[:2])
    assert capsys.readouterr().err == ""
    features.warm(CAPTIONS)
    assert "4/4" in capsys.readouterr().err


def test_bf16_is_stored_as_bf16(t5_folder: Path, tmp_path: Path) -> None:
    config = TextConfig(encoder=str(t5_folder), max_tokens=6, precision="bf16")
    features = FeatureCache(config, tmp_path)
    assert torch.equal(features(["a cat"]).states, load_text_encoder(config)(["a cat"]).states)
    assert load_file(shards(features)[0])["states"].dtype == torch.bfloat16


def test_a_folder_that_cannot_be_used(config: TextConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"text.cache: cannot use .*file"):
        FeatureCache(config, tmp_path / "file")


def test_a_full_disk_leaves_nothing_behind(
    config: TextConfig, encoder: CountingEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(tensors: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard, "save_file", full)
    features = FeatureCache(config, tmp_path)
    with pytest.raises(ValueError, match=r"cannot write features to .*No space left"):
        features.warm(CAPTIONS, progress=False)
    assert list(features.folder.iterdir()) == []
