from __future__ import annotations

import re
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

import textok.data.cache as caching
from tests.data.conftest import array_bytes, encoded, noise, write_folder
from textok.config import DataConfig
from textok.data import BadFilesError, CaptionedImages, open_captioned_images, train_batches
from textok.data.cache import PictureCache, fill_cache, look_up
from textok.data.pixels import to_tensor
from textok.runtime.memory import free_bytes, main_memory
from textok.types import Batch

CPU = torch.device("cpu")
Kind = Literal["ram", "device"]


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Thirteen noisy pictures with two captions each, wider than high, of four classes."""
    random = np.random.default_rng(0)
    files: dict[str, bytes | str] = {}
    for number in range(13):
        pixels = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        files[f"{number % 4}/{number}.png"] = array_bytes(pixels)
        files[f"{number % 4}/{number}.txt"] = f"{number} a\n{number} b"
    return write_folder(tmp_path / "wide", files)


def opened(path: Path | str, **options: object) -> CaptionedImages:
    config = DataConfig(path=str(path), **{"workers": 0, **options})
    return open_captioned_images(config, image_size=8)


def cached(images: CaptionedImages, kind: Kind = "ram") -> PictureCache:
    return fill_cache(images, kind, device=CPU, shown=False)


def batches(
    images: CaptionedImages,
    cache: PictureCache | None,
    *,
    rank: int = 0,
    world: int = 1,
    accumulate: int = 1,
    first: int = 0,
    count: int = 12,
) -> list[Batch]:
    made = train_batches(
        images,
        global_batch=8,
        accumulate=accumulate,
        rank=rank,
        world_size=world,
        first_step=first,
        seed=5,
        workers=0,
        cache=cache,
    )
    return list(chain(*islice(made, count)))


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.images, other.images) and one.images.is_contiguous()
        assert one.images.dtype == other.images.dtype
        assert (one.captions, one.keys) == (other.captions, other.keys)
        assert (one.labels is None) == (other.labels is None)
        if one.labels is not None and other.labels is not None:
            assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("kind", ["ram", "device"])
@pytest.mark.parametrize(("workers", "resize"), [(0, "lanczos"), (2, "lanczos"), (0, "adm")])
def test_batches_from_a_cache_are_those_from_the_files(
    wide: Path, kind: Kind, workers: int, resize: str
) -> None:
    images = opened(wide, flip=True, workers=workers, resize=resize)
    cache = cached(images, kind)
    assert cache.pixels.dtype == torch.uint8 and cache.pixels.shape == (13, 8, 8, 3)
    plain = batches(images, None)
    assert any("b" in caption for batch in plain for caption in batch.captions)
    assert_same(batches(images, cache), plain)
    assert_same(batches(images, cache, first=5, count=7), plain[5:])
    for rank in range(2):
        shared = {"rank": rank, "world": 2, "accumulate": 2}
        assert_same(batches(images, cache, **shared), batches(images, None, **shared))


def test_nothing_is_read_after_the_cache_is_filled(wide: Path) -> None:
    images = opened(wide)
    plain, cache = batches(images, None), cached(images)
    for file in wide.rglob("*.png"):
        file.unlink()
    assert_same(batches(images, cache), plain)


def test_a_mixture_is_cached_as_any_set(wide: Path) -> None:
    write_folder(wide.parent / "grey", {f"{i}.png": encoded(i) for i in range(70)})
    images = opened(f"{wide}=1 {wide.parent / 'grey'}=2", flip=True)
    assert_same(batches(images, cached(images)), batches(images, None))


def test_bad_files_are_replaced_as_without_a_cache_and_counted_at_once(numbered: Path) -> None:
    for name in ("07.png", "08.png", "19.png"):
        (numbered / name).write_bytes(noise()[:1000])
    images = opened(numbered, max_bad_share=0.2, flip=True)
    plain = batches(images, None)
    other = opened(numbered, max_bad_share=0.2, flip=True)
    cache = cached(other)
    assert other.report.bad == images.report.bad and len(other.report.bad) == 3
    assert sorted(cache.bad) == [7, 8, 19]
    assert_same(batches(other, cache), plain)
    with pytest.raises(BadFilesError, match=r"3 of 20 images .*max_bad_share = 0\.1"):
        cached(opened(numbered, max_bad_share=0.1))


def test_a_set_without_any_readable_image_stops_even_where_all_is_allowed(numbered: Path) -> None:
    for number in range(20):
        (numbered / f"{number:02d}.png").write_bytes(b"")
    images = opened(numbered, max_bad_share=1.0)
    with pytest.raises(BadFilesError, match="100 files in a row cannot be read"):
        batches(images, cached(images))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_random_cut_is_cached_where_it_cuts_nothing(
    numbered: Path, wide: Path, workers: int
) -> None:
    square = opened(numbered, crop="random", flip=True, workers=workers)
    assert_same(batches(square, cached(square)), batches(square, None))
    message = "data.cache: 0/0.png is not square, .* set data.crop to center, or data.cache to none"
    with pytest.raises(ValueError, match=message) as error:
        cached(opened(wide, crop="random", workers=workers))
    assert "\n" not in str(error.value)


def test_the_table_of_levels_has_the_same_bits_as_the_arithmetic() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(2, 8, 16, 1).expand(2, 8, 16, 3)
    assert torch.equal(look_up(levels), to_tensor(levels))


@pytest.mark.parametrize(
    ("copies", "words"),
    [
        (1, "3,840 bytes and"),
        (3, "3,840 bytes, 3 times (once a process) and"),
    ],
)
def test_a_set_that_does_not_fit_is_refused_before_it_is_read(
    numbered: Path, monkeypatch: pytest.MonkeyPatch, copies: int, words: str
) -> None:
    images = opened(numbered)
    monkeypatch.setattr(caching, "free_bytes", lambda device: 3840 * copies - 1)
    monkeypatch.setattr(CaptionedImages, "open", lambda *_: pytest.fail("it was read"))
    message = re.escape(f"data.cache ram needs {words} main memory has {3840 * copies - 1:,} free")
    with pytest.raises(ValueError, match=f"{message}: set data.cache to none$"):
        fill_cache(images, "ram", device=CPU, copies=copies, shown=False)
    monkeypatch.undo()
    monkeypatch.setattr(caching, "free_bytes", lambda device: 3840 * copies)
    fill_cache(images, "ram", device=CPU, copies=copies, shown=False)


def test_free_memory_is_what_is_available_and_left_to_the_container(tmp_path: Path) -> None:
    assert (free_bytes(CPU) or 1) > 2**20
    assert main_memory(tmp_path / "none", tmp_path) is None
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       200 kB\nMemAvailable:   100 kB\n")
    assert main_memory(meminfo, tmp_path) == 100 * 1024
    write_folder(tmp_path, {"memory.max": "max\n", "memory.current": "1000\n"})
    assert main_memory(meminfo, tmp_path) == 100 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    assert main_memory(meminfo, tmp_path) == 4000
    (tmp_path / "memory.stat").write_text("anon 3\ninactive_file 20\nactive_file 1\n")
    assert main_memory(meminfo, tmp_path) == 4021
    (tmp_path / "memory.current").write_text("6000\n")
    assert main_memory(meminfo, tmp_path) == 0
