"""Several processes that encode captions together, each a share of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.tensor import DTensor

from tests.together import together
from textok.config.data import TextConfig
from textok.text import FeatureCache, cache, encoder

BATCH = 4
CAPTIONS = ["a red dog", "a cat", "two large blue trees", "a", "", "green circle on white", "a red"]


class Noting:
    """Loads encoders that write down what they are asked, and whether they are shared out."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.touch()

    def load(self, config: TextConfig, **options: Any) -> encoder.FrozenTextEncoder:
        loaded = encoder.load_text_encoder(config, **options)
        encode = encoder.FrozenTextEncoder._encode

        def noting(self_: encoder.FrozenTextEncoder, captions: list[str]) -> Any:
            with self.file.open("a") as file:
                sharded = isinstance(next(loaded._model.parameters()), DTensor)
                file.write(f"{'sharded' if sharded else 'whole'}|{'|'.join(captions)}\n")
            return encode(self_, captions)

        loaded._encode = noting.__get__(loaded)
        return loaded


def warm(rank: int, store: Path, config: TextConfig, root: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=3
    )
    cache._BATCH = BATCH
    for name, shard in (("whole", False), ("sharded", True)):
        cache.load_text_encoder = Noting(root / f"{name}-{rank}.txt").load
        features = FeatureCache(replace(config, shard=shard), root / name)
        features.warm(CAPTIONS, progress=False)
        # All are there for every process, whoever made them.
        features(CAPTIONS)
    torch.distributed.barrier()  # gloo may abort where one leaves while the other still reads
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def warmed(t5_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextConfig, Path]:
    config = TextConfig(encoder=str(t5_folder), max_tokens=6)
    root = tmp_path_factory.mktemp("warmed")
    together(warm, root / "store", config, root, processes=3)
    return config, root


def asked(root: Path, name: str) -> list[list[str]]:
    """What each process encoded, batch by batch."""
    return [(root / f"{name}-{rank}.txt").read_text().splitlines() for rank in range(3)]


def distinct(batches: Sequence[str]) -> list[str]:
    return [caption for batch in batches for caption in batch.split("|")[1:]]


def test_each_caption_is_encoded_once_by_one_of_them(warmed: tuple[TextConfig, Path]) -> None:
    _, root = warmed
    shares = [distinct(batches) for batches in asked(root, "whole")]
    assert [len(share) for share in shares] == [4, 2, 0]
    assert sorted(caption for share in shares for caption in share) == sorted(set(CAPTIONS) - {""})


def test_with_shared_weights_all_call_the_encoder_equally_often(
    warmed: tuple[TextConfig, Path],
) -> None:
    _, root = warmed
    batches = asked(root, "sharded")
    assert [len(one) for one in batches] == [1, 1, 1]
    assert distinct(batches[2]) == ["."]
    assert all(batch.startswith("sharded|") for one in batches for batch in one)


@pytest.mark.parametrize(("name", "shard"), [("whole", False), ("sharded", True)])
def test_they_make_what_one_makes(
    warmed: tuple[TextConfig, Path],
    name: str,
    shard: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, root = warmed
    monkeypatch.setattr(cache, "_BATCH", BATCH)
    alone = FeatureCache(config, tmp_path)
    alone.warm(CAPTIONS, progress=False)
    monkeypatch.setattr(cache, "load_text_encoder", lambda *_, **__: pytest.fail("not stored"))
    there = FeatureCache(replace(config, shard=shard), root / name)
    one, several = alone(CAPTIONS), there(CAPTIONS)
    assert torch.equal(one.mask, several.mask)
    if shard:
        torch.testing.assert_close(several.states, one.states)
    else:
        assert torch.equal(several.states, one.states)
