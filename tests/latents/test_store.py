"""Splits of latents as a generator's training reads them, and what is said of damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from textok.latents import LatentIndex, LatentSet, open_latents
from textok.latents.index import write_index
from textok.latents.shard import LatentRow, shard_path, write_shard
from textok.runtime.checksum import tensors_sha256
from textok.types import Latents

ROWS = (3, 0, 4)
CLASSES = ["dog", "cat", "emu"]
MEAN = torch.randn(7, 2, 5, generator=torch.Generator().manual_seed(0))
CODES = torch.randint(0, 9, (7, 2), generator=torch.Generator().manual_seed(0))
LABELS = ["cat", "dog", None, "cat", "cat", "dog", "cat"]
CAPTIONS = ["b", "c", "d", "a", "", "line\u2028break", "b"]


def write_split(
    root: Path,
    *,
    spread: bool = True,
    classes: bool = True,
    codes: torch.Tensor | None = None,
    codebook_size: int = 0,
) -> Path:
    """Seven rows in shards of 3, 0 and 4 below ``root/train``."""
    folder = root / "train"
    folder.mkdir()
    start = 0
    for number, count in enumerate(ROWS):
        part = slice(start, start + count)
        start += count
        rows = [
            LatentRow(key=f"k{row}", caption=CAPTIONS[row], label=LABELS[row] if classes else None)
            for row in range(start - count, start)
        ]
        latents = Latents(
            mean=MEAN[part],
            logvar=-MEAN[part] if spread else None,
            codes=None if codes is None else codes[part],
        )
        write_shard(shard_path(folder, number), latents, rows, settings={}, unreadable={})
    index = LatentIndex(
        num_tokens=2,
        channels=5,
        codebook_size=codebook_size,
        image_size=16,
        tokenizer="tiny",
        tokenizer_sha256="0",
        data="pictures",
        where="",
        flip=False,
        classes=CLASSES if classes else [],
        images=7,
        unreadable=0,
        rows=7,
        shards=list(ROWS),
        mean=[0.0] * 5,
        std=[1.0, 2.0, 3.0, 4.0, 5.0],
    )
    write_index(folder, index)
    return root


@pytest.fixture
def latents(tmp_path: Path) -> LatentSet:
    return open_latents(write_split(tmp_path))


def test_rows_come_in_the_order_asked_for(latents: LatentSet) -> None:
    asked = [6, 0, 3, 2, 3]
    batch = latents.batch(asked)

    assert len(latents) == 7
    assert batch.latents.mean.dtype == torch.float32
    assert torch.equal(batch.latents.mean, MEAN[asked].half().float())
    assert batch.latents.logvar is not None
    assert torch.equal(batch.latents.logvar, -MEAN[asked].half().float())
    assert batch.keys == ["k6", "k0", "k3", "k2", "k3"]
    assert batch.captions == ["b", "b", "a", "d", "a"]
    assert batch.labels is not None and batch.labels.tolist() == [1, 1, 1, -1, 1]


def test_what_is_known_of_the_split(latents: LatentSet) -> None:
    assert latents.captions() == CAPTIONS
    assert latents.class_captions() == {"dog": ["c", "line\u2028break"], "cat": ["a", "b"]}
    assert list(latents.class_captions()) == ["dog", "cat"]  # by number; emu has none
    assert latents.scale.std.tolist() == [1, 2, 3, 4, 5]


def test_without_spread_and_classes(tmp_path: Path) -> None:
    batch = open_latents(write_split(tmp_path, spread=False, classes=False)).batch([5])

    assert batch.latents.logvar is None
    assert batch.labels is None


def test_codes_come_with_their_rows(tmp_path: Path) -> None:
    asked = [6, 0, 3, 2, 3]
    latents = open_latents(write_split(tmp_path, codes=CODES, codebook_size=9))
    found = latents.batch(asked).latents.codes

    assert found is not None and found.dtype == torch.int64
    assert torch.equal(found, CODES[asked])


def test_an_index_from_before_there_were_codes(tmp_path: Path) -> None:
    path = write_split(tmp_path) / "train" / "index.json"
    content = json.loads(path.read_text())
    del content["codebook_size"]
    path.write_text(json.dumps(content))
    latents = open_latents(tmp_path)

    assert latents.index.codebook_size == 0
    assert latents.batch([1]).latents.codes is None


@pytest.mark.parametrize(
    ("codes", "size", "message"),
    [
        (CODES - 1, 9, r"shard-0000\d\.safetensors: holds codes from -1 to \d, there are 0 to 8"),
        (CODES + 1, 9, r"holds codes from \d to 9, there are 0 to 8: delete that shard and run"),
        (None, 9, r"shard-00000\.safetensors: holds no codes, codebook_size of the index is 9"),
        (CODES, 0, r"shard-00000\.safetensors: holds codes, codebook_size of the index is 0"),
        (CODES[:, :1], 9, r"no whole shard of latents \(its codes are not \(rows, K\) int32\)"),
    ],
)
def test_codes_that_do_not_fit_are_one_line(
    codes: torch.Tensor | None, size: int, message: str, tmp_path: Path
) -> None:
    write_split(tmp_path, codes=codes, codebook_size=size)
    with pytest.raises(ValueError, match=message) as error:
        open_latents(tmp_path)
    assert "\n" not in str(error.value)


def test_numbers_beyond_float16_are_refused(tmp_path: Path) -> None:
    latents = Latents(mean=torch.full((1, 1, 1), 7e4))
    row = LatentRow(key="k", caption="", label=None)
    with pytest.raises(ValueError, match="mean is not finite in float16"):
        write_shard(shard_path(tmp_path, 0), latents, [row], settings={}, unreadable={})
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no latents there; `textok extract TOKENIZER DATA "):
        open_latents(tmp_path / "nowhere")
    write_split(tmp_path)
    with pytest.raises(ValueError, match=r"has no split 'val'; it has train$"):
        open_latents(tmp_path, "val")
    (tmp_path / "train" / "index.json").unlink()
    with pytest.raises(ValueError, match=r"train is incomplete: run the same `textok extract`"):
        open_latents(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("shard-00000.safetensors", b"half", r"shard-00000\.safetensors: no whole shard"),
        ("shard-00002.safetensors", None, r"shard-00002\.safetensors: no whole shard"),
        ("shard-00001.jsonl", None, r"shard-00001\.jsonl: no such file: delete"),
        ("shard-00002.jsonl", b"{}\n", r"shard-00002\.jsonl: 1 lines for 4 rows"),
        ("shard-00000.jsonl", b"{}\n{\n{}\n", r"shard-00000\.jsonl line 1: damaged"),
        ("shard-00000.jsonl", b"\xff\n" * 3, r"shard-00000\.jsonl line 1: damaged"),
        ("index.json", b"{", r"index\.json: not JSON .*; delete it and run the same"),
        ("index.json", b"[]", r"index\.json: not an index of latents"),
        ("index.json", b'{"rowz": 1}', r"index\.json\.rowz: no such field; did you mean 'rows'"),
    ],
)
def test_damage_is_one_line_naming_the_file(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = write_split(tmp_path) / "train" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        open_latents(tmp_path)
    assert "\n" not in str(error.value)


def test_a_shard_of_other_rows_is_named(tmp_path: Path) -> None:
    folder = write_split(tmp_path) / "train"
    for suffix in (".safetensors", ".jsonl"):
        (folder / f"shard-00000{suffix}").replace(folder / f"shard-00002{suffix}")
    message = r"shard-00000.safetensors: no whole shard.*: delete that shard and run the same"
    with pytest.raises(ValueError, match=message):
        open_latents(tmp_path)
    write_shard(
        shard_path(folder, 0),
        Latents(mean=MEAN[:3]),
        [LatentRow(key="", caption="", label=None)] * 3,
        settings={},
        unreadable={},
    )
    with pytest.raises(ValueError, match=r"00002.safetensors: is \(3, 2, 5\), .* \(4, 2, 5\)"):
        open_latents(tmp_path)


def test_the_first_tokens_of_each_image_alone(tmp_path: Path) -> None:
    whole = open_latents(write_split(tmp_path, codes=CODES, codebook_size=9))
    first = whole.first(1)
    assert (first.index.num_tokens, whole.index.num_tokens) == (1, 2)
    left, right = first.batch([5, 0]).latents, whole.batch([5, 0]).latents
    assert left.mean.shape == (2, 1, 5)
    assert torch.equal(left.mean, right.mean[:, :1]) and torch.equal(left.codes, right.codes[:, :1])
    rows = first.batch(range(len(first))).latents.mean
    torch.testing.assert_close(first.scale.mean, rows.mean(dim=(0, 1)))
    assert not torch.allclose(first.scale.mean, whole.scale.mean)
    for count in (0, 3):
        with pytest.raises(ValueError, match=r"latents\.num_tokens"):
            whole.first(count)


def flip_bit(path: Path, *, back: int) -> None:
    """Change the lowest bit of the byte that is ``back`` bytes before the end."""
    data = bytearray(path.read_bytes())
    data[-back] ^= 1
    path.write_bytes(data)


def test_one_changed_bit_is_noticed(tmp_path: Path) -> None:
    numbers = write_split(tmp_path) / "train" / "shard-00002.safetensors"
    flip_bit(numbers, back=10)
    with pytest.raises(ValueError, match=r"shard-00002\.safetensors.*checksum differs.*delete"):
        open_latents(tmp_path)
    assert len(open_latents(tmp_path, verify=False)) == 7
    flip_bit(numbers, back=10)
    lines = numbers.with_suffix(".jsonl")
    whole = lines.read_bytes()
    lines.write_bytes(whole.replace(b'"k5"', b'"k6"'))
    with pytest.raises(ValueError, match=r"shard-00002\.jsonl: not what was written"):
        open_latents(tmp_path, verify=False)
    lines.write_bytes(whole)
    assert len(open_latents(tmp_path)) == 7


def test_a_checksum_is_of_names_types_shapes_and_values() -> None:
    first = {"a": torch.arange(6.0), "b": torch.ones(2, dtype=torch.int32)}
    same = {"b": torch.ones(2, dtype=torch.int32), "a": torch.arange(6.0)}
    assert tensors_sha256(first) == tensors_sha256(same)
    others = (
        {**first, "a": torch.arange(6.0).reshape(2, 3)},
        {**first, "a": torch.arange(6.0).double()},
        {**first, "a": torch.arange(6.0).flip(0)},
        {"a": first["a"], "c": first["b"]},
        {"a": torch.arange(12.0)[::2], "b": first["b"]},
    )
    assert len({tensors_sha256(one) for one in (first, *others)}) == 6
