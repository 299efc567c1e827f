"""Sets of more files than a process may have open at once (`ulimit -n 256`, and fewer)."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path

import pytest
import torch

from tests.data.conftest import encoded, write_tar
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.latents import open_latents
from textok.latents.index import LatentIndex, write_index
from textok.latents.shard import LatentRow, shard_path, write_shard
from textok.text import shard as text_shard
from textok.types import Latents

FILES, SPARE = 120, 24


def open_files() -> set[int]:
    """Their numbers, with that of the list itself."""
    return {int(file.name) for file in Path("/proc/self/fd").iterdir()}


@contextmanager
def few_open_files() -> Iterator[None]:
    """``SPARE`` more than there are; none is left open by what is inside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = open_files()
    free = (number for number in count() if number not in before)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(islice(free, SPARE, None)), hard))
    try:
        yield
        assert len(open_files()) <= len(before)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no list of open files")


def open_all(file: Path, files: ExitStack) -> None:
    for _ in range(FILES):
        files.enter_context(file.open())


def test_the_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with (
        pytest.raises(OSError, match="Too many open files"),
        few_open_files(),
        ExitStack() as files,
    ):
        open_all(tmp_path / "a", files)


def test_tar_shards(tmp_path: Path) -> None:
    picture = encoded(7, kind="PNG")
    for number in range(FILES):
        write_tar(
            tmp_path / f"{number:05d}.tar", [(f"{number}.png", picture), (f"{number}.txt", "a")]
        )
    with few_open_files():
        images = open_captioned_images(DataConfig(path=str(tmp_path)), image_size=8)
        read = [images.open(index).size for index in range(len(images.records))]
    assert len(read) == FILES


def test_folders_of_images(tmp_path: Path) -> None:
    picture = encoded(7, kind="PNG")
    for number in range(FILES):
        (tmp_path / f"{number}.png").write_bytes(picture)
        (tmp_path / f"{number}.txt").write_text("a")
    with few_open_files():
        images = open_captioned_images(DataConfig(path=str(tmp_path)), image_size=8)
        read = [images.open(index).size for index in range(len(images.records))]
    assert len(read) == FILES


def test_latents(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    for number in range(FILES):
        mean = torch.full((1, 2, 3), float(number), dtype=torch.float16)
        row = LatentRow(key=f"k{number}", caption="a", label=None)
        write_shard(
            shard_path(folder, number),
            Latents(mean=mean, logvar=None, codes=None),
            [row],
            settings={},
            unreadable={},
        )
    index = LatentIndex(
        num_tokens=2,
        channels=3,
        codebook_size=0,
        image_size=16,
        tokenizer="tiny",
        tokenizer_sha256="0",
        data="pictures",
        where="",
        flip=False,
        classes=[],
        images=FILES,
        unreadable=0,
        rows=FILES,
        shards=[1] * FILES,
        mean=[0.0] * 3,
        std=[1.0] * 3,
    )
    write_index(folder, index)
    with few_open_files():
        latents = open_latents(tmp_path)
        assert len(latents) == FILES
        drawn = latents.batch(range(FILES)).latents.mean
        assert drawn[:, 0, 0].tolist() == list(range(FILES))


def test_cached_text(tmp_path: Path) -> None:
    keys = [text_shard.caption_key(str(number)) for number in range(FILES)]
    for number, key in enumerate(keys):
        states = {key: torch.full((1, 4), float(number))}
        text_shard.write_shard(tmp_path, states=states, cut=0, unread=set(), float8=False)
    with few_open_files():
        shards = [
            text_shard.FeatureShard(path, width=4, dtype=torch.float32, float8=False)
            for path in tmp_path.iterdir()
        ]
        found = {shard.keys[0]: float(shard.row(0)[0, 0]) for shard in shards}
    assert found == {key: float(number) for number, key in enumerate(keys)}
