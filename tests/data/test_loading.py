from __future__ import annotations

import json
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from einops import reduce
from PIL import Image

from tests.data.conftest import array_bytes, encoded, noise, write_folder
from textok.config import DataConfig
from textok.data import (
    BadFilesError,
    CaptionedImages,
    eval_batches,
    open_captioned_images,
    train_batches,
)
from textok.data.pixels import pil_to_square
from textok.types import Batch

Row = tuple[str, str, tuple[float, ...]]


def opened(path: Path, **options: object) -> CaptionedImages:
    return open_captioned_images(DataConfig(path=str(path), **options), image_size=8)


def test_pictures_are_brought_to_size_as_named(tmp_path: Path) -> None:
    # 18 x 16 to 8: ADM's averages of 2 x 2 are 9 x 8 already, of which the last column is cut off.
    # They are whole numbers, of levels that 4 divides.
    pixels = 4 * np.random.default_rng(0).integers(0, 64, (16, 18, 3), dtype=np.uint8)
    folder = write_folder(tmp_path / "wide", {"a.png": array_bytes(pixels)})
    read = {name: opened(folder, resize=name).read(0) for name in ("lanczos", "adm")}
    averages = reduce(pixels[:, :16] / 1.0, "(H h) (W w) c -> H W c", "mean", h=2, w=2)

    assert np.array_equal(read["adm"], averages)
    assert np.array_equal(read["lanczos"], pil_to_square(Image.fromarray(pixels), 8))
    assert np.array_equal(opened(folder).read(0), read["lanczos"])
    # In training the last two columns come in where the square is placed to the right.
    places = {crop: opened(folder, resize="adm").read(0, crop=(crop, 0.5)) for crop in (0.0, 1.0)}
    assert np.array_equal(places[0.0], averages)
    assert np.array_equal(places[1.0][:, :7], averages[:, 1:])


def test_a_large_jpeg_is_decoded_whole_for_adm(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    folder = write_folder(tmp_path / "photo", {"a.jpg": array_bytes(pixels, "JPEG")})

    assert opened(folder).open(0).size == (16, 16)
    assert opened(folder, resize="adm").open(0).size == (64, 64)


def rows(batches: list[Batch]) -> list[Row]:
    """Key, caption and pixels of each image."""
    return [
        (key, caption, tuple(image.flatten().tolist()))
        for batch in batches
        for image, caption, key in zip(batch.images, batch.captions, batch.keys, strict=True)
    ]


def steps(
    images: CaptionedImages,
    *,
    accumulate: int = 1,
    world: int = 1,
    first: int = 0,
    until: int = 10,
    workers: int = 0,
    seed: int = 5,
) -> list[list[Row]]:
    """The global batch of each step, put together from all ranks as the gradient is."""
    ranks = [
        train_batches(
            images,
            global_batch=8,
            accumulate=accumulate,
            rank=rank,
            world_size=world,
            first_step=first,
            seed=seed,
            workers=workers,
        )
        for rank in range(world)
    ]
    found = []
    for parts in islice(zip(*ranks, strict=True), until - first):
        assert all(len(micro) == accumulate for micro in parts)
        found.append(rows([micro[a] for a in range(accumulate) for micro in parts]))
    return found


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Thirteen noisy pictures, wider than high, so that each crop and mirroring is seen."""
    generator = torch.Generator().manual_seed(0)
    files: dict[str, bytes | str] = {}
    table = []
    for number in range(13):
        name = f"{number}.png"
        pixels = torch.randint(0, 256, (8, 16, 3), dtype=torch.uint8, generator=generator).numpy()
        files[name] = array_bytes(pixels)
        table.append({"file_name": name, "captions": [f"{number} {c}" for c in "abc"]})
    files["metadata.jsonl"] = "\n".join(json.dumps(row) for row in table)
    return write_folder(tmp_path / "wide", files)


def test_the_global_batch_does_not_depend_on_processes_workers_or_the_first_step(
    wide: Path,
) -> None:
    images = opened(wide, flip=True, crop="random")
    plain = steps(images)
    assert len(plain) == 10 and len(plain[0]) == 8
    assert steps(images, world=2) == plain
    assert steps(images, accumulate=2) == plain
    assert steps(images, accumulate=2, world=2) == plain
    assert steps(images, workers=2) == plain
    assert steps(images, first=7) == plain[7:]
    assert steps(images, first=7, accumulate=2, workers=1) == plain[7:]
    assert steps(images, seed=6) != plain


def test_each_pass_draws_captions_crops_and_mirrorings_anew(wide: Path) -> None:
    images = opened(wide, flip=True, crop="random")
    drawn = [row for step in steps(images, until=65) for row in step]  # 40 passes
    first = [row for row in drawn if row[0] == "0.png"]
    assert len(first) == 40
    assert {caption for _, caption, _ in first} == {"0 a", "0 b", "0 c"}
    assert len({pixels for _, _, pixels in first}) > 9  # of 9 places x 2
    still = [row for step in steps(opened(wide), until=20) for row in step]
    assert len({pixels for key, _, pixels in still if key == "0.png"}) == 1


def test_mirrored_images_are_mirrored_left_to_right(wide: Path) -> None:
    pictures = [row for step in steps(opened(wide, flip=True), until=20) for row in step]
    seen = {pixels for key, _, pixels in pictures if key == "0.png"}
    one, other = (torch.tensor(pixels).view(3, 8, 8) for pixels in seen)
    assert torch.equal(one, other.flip(-1))


def test_batches_have_the_declared_types(numbered: Path) -> None:
    images = opened(numbered)
    for batch in next(
        train_batches(
            images,
            global_batch=4,
            accumulate=2,
            rank=0,
            world_size=1,
            first_step=0,
            seed=0,
            workers=0,
        )
    ):
        assert batch.images.shape == (2, 3, 8, 8) and batch.images.dtype == torch.float32
        numbers = [int(key.removesuffix(".png")) for key in batch.keys]
        assert batch.images[:, 0, 0, 0].tolist() == pytest.approx(
            [10 * number / 127.5 - 1 for number in numbers]
        )
        assert batch.labels is not None and batch.labels.dtype == torch.int64
        assert batch.labels.tolist() == [number % 2 for number in numbers]
        assert [caption.split()[0] for caption in batch.captions] == [str(n) for n in numbers]


def test_the_global_random_state_is_left_alone(numbered: Path) -> None:
    images = opened(numbered)
    before = torch.get_rng_state()
    steps(images, until=2)
    list(eval_batches(images, batch_size=8))
    assert torch.equal(torch.get_rng_state(), before)


def test_images_without_a_caption_have_an_empty_one(tmp_path: Path) -> None:
    images = opened(
        write_folder(tmp_path, {"a.png": encoded(1), "b.png": encoded(2), "b.txt": "b"})
    )
    batch = next(eval_batches(images, batch_size=2))
    assert batch.captions == ["", "b"] and batch.labels is None
    assert {row[:2] for step in steps(images) for row in step} == {("a.png", ""), ("b.png", "b")}


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (1, 2), (3, 0)])
def test_evaluation_reads_every_image_once_in_order(
    numbered: Path, world: int, workers: int
) -> None:
    images = opened(numbered, flip=True, crop="random")
    found = [
        list(eval_batches(images, batch_size=3, rank=rank, world_size=world, workers=workers))
        for rank in range(world)
    ]
    keys = [[key for batch in batches for key in batch.keys] for batches in found]
    assert sorted(chain(*keys)) == [f"{number:02d}.png" for number in range(20)]
    assert all(part == sorted(part) for part in keys)
    assert all(batch.captions[0].endswith(" a") for batches in found for batch in batches)


def test_evaluation_with_another_caption(numbered: Path) -> None:
    images = opened(numbered)
    assert next(eval_batches(images, batch_size=2, caption=1)).captions == ["0 b", "1 b"]
    with pytest.raises(ValueError, match="no image has a caption number 2"):
        eval_batches(images, batch_size=2, caption=2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_replaced_by_the_next_and_listed(numbered: Path, workers: int) -> None:
    (numbered / "07.png").write_bytes(noise()[:1000])
    images = opened(numbered, max_bad_share=0.05)
    drawn = [row[0] for step in steps(images, until=5, workers=workers) for row in step]
    assert [drawn.count(f"{number:02d}.png") for number in (6, 7, 8, 9)] == [2, 0, 4, 2]
    assert list(images.report.bad) == ["07.png"]
    assert "1 unreadable: 07.png (" in images.report.summary()


def test_replacements_do_not_depend_on_the_processes(numbered: Path) -> None:
    for name in ("07.png", "08.png"):
        (numbered / name).unlink()
        (numbered / name).write_bytes(b"no image")
    plain = steps(opened(numbered, max_bad_share=0.1, flip=True))
    other = opened(numbered, max_bad_share=0.1, flip=True)
    assert steps(other, world=2, accumulate=2, first=3) == plain[3:]


def test_evaluation_leaves_bad_images_out(numbered: Path) -> None:
    (numbered / "00.png").write_bytes(b"")
    (numbered / "05.png").unlink()
    images = opened(numbered, max_bad_share=1.0)
    (numbered / "06.png").unlink()  # after it was listed
    keys = [batch.keys for batch in eval_batches(images, batch_size=1)]
    assert list(chain(*keys)) == [f"{n:02d}.png" for n in range(20) if n not in (0, 5, 6)]
    assert list(images.report.missing) == ["05.png"]
    assert images.report.bad["00.png"] == "empty file" and len(images.report.bad) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_bad_files_stop_the_run_and_are_named(numbered: Path, workers: int) -> None:
    for number in (3, 11):
        (numbered / f"{number:02d}.png").write_bytes(b"")
    images = opened(numbered, max_bad_share=0.05)
    with pytest.raises(BadFilesError, match=r"2 of 20 images .*max_bad_share = 0\.05") as error:
        steps(images, workers=workers)
    assert "03.png (empty file)" in str(error.value) and "11.png" in str(error.value)


def test_a_set_without_any_readable_image_stops_even_where_all_is_allowed(numbered: Path) -> None:
    for number in range(20):
        (numbered / f"{number:02d}.png").write_bytes(b"")
    images = opened(numbered, max_bad_share=1.0)
    with pytest.raises(BadFilesError, match="100 files in a row cannot be read"):
        steps(images)
    assert list(eval_batches(images, batch_size=8)) == []
