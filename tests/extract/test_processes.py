"""Extraction by one, two and three processes, in every way to the features of captions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.extract.make import make_latents
from tests.text.conftest import save_t5
from tests.together import together
from textok.cli.main import main
from textok.config import DataConfig, TextConfig, TokenizerConfig, ViTConfig
from textok.config.data import TextStoreConfig
from textok.latents import open_latents
from textok.text import cache, encoder, on_the_fly
from textok.tokenizer import Tokenizer

SIZE, IMAGES = 16, 11
CAPTIONS = ("a red dog\na cat", "", "two large blue trees", "green circle on white", "a")
WAYS: dict[str, dict[str, Any]] = {
    "exact": {},
    "exact-shared": {"text": TextStoreConfig(shard=True)},
    "nothing": {"text": TextStoreConfig(store="nothing")},
    "nothing-shared": {"text": TextStoreConfig(store="nothing", shard=True)},
    "float8": {"text": TextStoreConfig(store="float8")},
}
GONE = "shard-00001"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained tokenizer whose latents depend on what a tiny T5 says of the caption."""
    folder = tmp_path_factory.mktemp("model")
    t5 = save_t5(folder / "t5")
    torch.manual_seed(0)
    vit = ViTConfig(width=32, depth=1, heads=2)
    config = TokenizerConfig(
        image_size=SIZE,
        patch_size=8,
        num_tokens=4,
        channels=2,
        text_width=16,
        text_tokens=8,
        encoder=vit,
        decoder=vit,
    )
    tokenizer = Tokenizer(config, text=TextConfig(encoder=str(t5), max_tokens=8))
    for weights in tokenizer.encoder.parameters():
        if weights.ndim == 2:  # so large that captions matter
            torch.nn.init.normal_(weights, std=0.3)
    return tokenizer.save_pretrained(folder / "tokenizer")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for index in range(IMAGES):
        pixels = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(CAPTIONS[index % len(CAPTIONS)])
    return DataConfig(path=str(folder), workers=0)


def make(model: Path, data: DataConfig, out: Path, **ways: Any) -> None:
    """Fourteen rows in five shards: two or three processes have different numbers of them."""
    make_latents(model, data=data, out=out, splits=["all"], shard_rows=3, batch_size=2, **ways)


@pytest.fixture(scope="module")
def root(model: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``WAY-N``: an extraction by N processes; ``notes-N-R``: what process R of them loaded."""
    root = tmp_path_factory.mktemp("latents")
    for way, settings in WAYS.items():
        make(model, data, root / f"{way}-1", **settings)
    for world_size in (2, 3):
        together(_work, world_size, root, model, data, processes=world_size)
    return root


def _work(rank: int, world_size: int, root: Path, model: Path, data: DataConfig) -> None:
    torch.set_num_threads(1)
    store = f"file://{root / f'store-{world_size}'}"
    torch.distributed.init_process_group(
        "gloo", init_method=store, rank=rank, world_size=world_size
    )
    notes: list[bool] = []

    def load(config: TextConfig, *, shard: bool = False, **options: Any) -> Any:
        notes.append(shard)
        return encoder.load_text_encoder(config, shard=shard, **options)

    cache.load_text_encoder = on_the_fly.load_text_encoder = load
    for way, settings in WAYS.items():
        make(model, data, root / f"{way}-{world_size}", **settings)
    again = root / f"nothing-shared-{world_size}"
    if rank == 0:  # one of them has something left to do, and needs the others for it
        (again / "all" / f"{GONE}.safetensors").unlink()
    torch.distributed.barrier()
    make(model, data, again, **WAYS["nothing-shared"])
    (root / f"notes-{world_size}-{rank}").write_text(json.dumps(notes))
    torch.distributed.barrier()  # gloo may abort where one leaves while the other still reads
    torch.distributed.destroy_process_group()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "all").iterdir()}


def means(folder: Path) -> torch.Tensor:
    latents = open_latents(folder, "all")
    return latents.batch(range(len(latents))).latents.mean


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("way", ["exact", "nothing", "float8"])
def test_several_processes_make_the_files_of_one(root: Path, way: str, world_size: int) -> None:
    one, several = root / f"{way}-1", root / f"{way}-{world_size}"
    assert contents(several) == contents(one)
    assert len(means(one)) == 14


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("way", ["exact-shared", "nothing-shared"])
def test_so_do_several_that_share_the_text_encoder(root: Path, way: str, world_size: int) -> None:
    one, several = root / "exact-1", root / f"{way}-{world_size}"
    assert contents(several).keys() == contents(one).keys()
    for path in (one / "all").glob("*.jsonl"):
        assert (several / "all" / path.name).read_bytes() == path.read_bytes()
    torch.testing.assert_close(means(several), means(one), rtol=2e-3, atol=2e-3)


def test_the_encoder_was_shared_out_where_asked(root: Path) -> None:
    notes = [json.loads(path.read_text()) for path in root.glob("notes-*")]
    assert [note.count(True) for note in notes] == [3] * 5  # nothing-shared twice


def test_what_is_not_stored_is_encoded_to_the_same(root: Path) -> None:
    torch.testing.assert_close(
        means(root / "nothing-1"), means(root / "exact-1"), atol=2e-3, rtol=0
    )
    for world_size in (1, 2, 3):
        for way in ("nothing", "nothing-shared"):
            assert not (root / f"{way}-{world_size}" / "text-cache").exists()
        assert (root / f"exact-{world_size}" / "text-cache").is_dir()


def test_float8_is_near_and_known_by_name(root: Path, model: Path, data: DataConfig) -> None:
    exact, rounded = means(root / "exact-1"), means(root / "float8-1")
    off = float((exact - rounded).norm() / exact.norm())
    assert 1e-4 < off < 0.05
    for there, asked in (("exact", "float8"), ("float8", "exact"), ("float8", "nothing")):
        with pytest.raises(ValueError, match="holds latents of another text-store"):
            make(model, data, root / f"{there}-1", text=TextStoreConfig(store=asked))


def test_captions_matter_here(root: Path, model: Path, data: DataConfig, tmp_path: Path) -> None:
    plain = shutil.copytree(data.path, tmp_path / "plain")
    for file in plain.glob("*.txt"):
        file.write_text("a dog" + "\na dog" * file.read_text().count("\n"))
    make(model, DataConfig(path=str(plain), workers=0), tmp_path / "out")
    other = means(tmp_path / "out")
    assert float((other - means(root / "exact-1")).norm()) > 0.1 * float(other.norm())


def test_a_folder_for_nothing_is_refused(
    model: Path, data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"extract {model} {data.path} {tmp_path} --text-store nothing --text-cache here"
    assert main(words.split()) == 2
    assert "text.store is 'nothing' but text.cache names here: leave" in capsys.readouterr().err
