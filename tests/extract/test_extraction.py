"""Latents of a small captioned set: every row, whoever made it and however often it was stopped."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from tests.extract.make import make_latents
from tests.together import together
from textok.cli.main import main
from textok.config import DataConfig, TextConfig, TokenizerConfig, ViTConfig
from textok.config.data import TextStoreConfig
from textok.data import BadFilesError, open_captioned_images
from textok.data.pixels import to_tensor
from textok.extract import extraction, split
from textok.extract.rows import RowPlan
from textok.latents import open_latents
from textok.latents.index import read_index
from textok.pipeline import Reconstructor
from textok.tokenizer import Tokenizer

SIZE, TRAIN, VAL = 16, 9, 3
COUNTS = (2, 0, 1)
"""Captions of the images, in turn: 2 + 1 + 1 rows for each three."""
ROWS = 12


def tiny_tokenizer(text: str) -> Tokenizer:
    """Untrained: 16 px, K = 4, C = 2, text by MiniLM in 8 states, a spread that varies."""
    torch.manual_seed(0)
    vit = ViTConfig(width=32, depth=1, heads=2)
    config = TokenizerConfig(
        image_size=SIZE,
        patch_size=8,
        num_tokens=4,
        channels=2,
        text=text,
        text_width=384,
        text_tokens=8,
        encoder=vit,
        decoder=vit,
    )
    tokenizer = Tokenizer(config, text=TextConfig(max_tokens=16, pool=8))
    logvar = tokenizer.encoder.bottleneck.logvar
    assert logvar is not None
    torch.nn.init.normal_(logvar.weight, std=0.2)
    return tokenizer


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train`` and ``val`` folders of soft random pictures in classes, with 0 to 2 captions."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for name, count, classes in (("train", TRAIN, "ab"), ("val", VAL, "bc")):
        for index in range(count):
            place = folder / name / classes[index % 2]
            place.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (3, 3, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).resize((20, SIZE), Image.Resampling.BICUBIC)
            picture.save(place / f"{index:02d}.png")
            captions = [f"a picture {index}", f"plain {index}"][: COUNTS[index % 3]]
            if captions:
                (place / f"{index:02d}.txt").write_text("\n".join(captions))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the tiny tokenizer for a place of the text."""
    folder = tmp_path_factory.mktemp("models")

    def saved(text: str) -> Path:
        path = folder / text
        if not path.is_dir():
            tiny_tokenizer(text).save_pretrained(path)
        return path

    return saved


@pytest.fixture(scope="module")
def options(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What all extractions here have in common; the captions are encoded once."""
    return {
        "data": DataConfig(path=str(pictures), workers=0),
        "shard_rows": 5,
        "batch_size": 2,
        "text": TextStoreConfig(cache=str(tmp_path_factory.mktemp("text-cache"))),
    }


@pytest.fixture(scope="module")
def whole(
    model: Callable[[str], Path],
    options: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An extraction that nothing disturbed, with mirrored rows."""
    out = tmp_path_factory.mktemp("whole")
    make_latents(model("both"), out=out, flip=True, **options)
    return out


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def expected_rows(pictures: Path, name: str) -> Iterator[tuple[str, str, torch.Tensor]]:
    """Key, caption and image (1, 3, H, W) of every row with mirrored ones, one by one."""
    config = DataConfig(path=str(pictures), split=name)
    images = open_captioned_images(config, image_size=SIZE)
    for index, record in enumerate(images.records):
        for flip in (False, True):
            for caption in record.captions or ("",):
                yield record.key, caption, to_tensor(images.read(index, flip=flip))[None]


@pytest.mark.parametrize("name", ["train", "val"])
def test_a_row_is_what_the_tokenizer_gives(
    name: str, whole: Path, pictures: Path, options: dict[str, Any]
) -> None:
    latents = open_latents(whole, name)
    batch = latents.batch(range(len(latents)))
    rows = list(expected_rows(pictures, name))
    tokenizer = Reconstructor.from_pretrained(
        whole / "tokenizer", text_cache=Path(options["text"].cache)
    )
    given = []
    for start in (0, 2, 4, 5, 7, 9, 10, 12, 14, 15, 17, 19, 20, 22):  # 2, 2 and 1 a shard
        part = rows[start : start + (1 if start % 5 == 4 else 2)]
        if part:
            images = torch.cat([image for _, _, image in part])
            given.append(tokenizer.encode(images, [caption for _, caption, _ in part]))
    mean = torch.cat([latents.mean for latents in given])
    logvar = torch.cat([latents.logvar for latents in given if latents.logvar is not None])

    assert batch.keys == [key for key, _, _ in rows]
    assert batch.captions == [caption for _, caption, _ in rows]
    assert torch.equal(batch.latents.mean, mean.half().float())
    assert batch.latents.logvar is not None
    assert torch.equal(batch.latents.logvar, logvar.half().float())
    assert not torch.equal(mean[0], mean[1])  # the same image with another caption


def test_latents_in_bf16(
    whole: Path, model: Callable[[str], Path], options: dict[str, Any], tmp_path: Path
) -> None:
    given = {**options, "splits": ["val"], "precision": "bf16"}
    index = make_latents(model("both"), out=tmp_path, **given)["val"]
    latents, exact = open_latents(tmp_path, "val"), open_latents(whole, "val")
    images = open_captioned_images(replace(options["data"], split="val"), image_size=SIZE)
    tokenizer = Reconstructor.from_pretrained(model("both"), precision="bf16")
    first = latents.batch([0])
    expected = tokenizer.encode(to_tensor(images.read(0))[None], first.captions)

    assert (index.precision, exact.index.precision) == ("bf16", "fp32")
    torch.testing.assert_close(first.latents.mean, expected.mean.half().float(), rtol=0, atol=0.01)
    assert not torch.equal(first.latents.mean, exact.batch([0]).latents.mean)


def test_an_extraction_of_an_older_version_continues(
    copy: Path, whole: Path, model: Callable[[str], Path], options: dict[str, Any]
) -> None:
    train = copy / "train"
    for path in sorted(train.glob("*.safetensors"))[1:]:
        with safe_open(path, framework="pt") as shard:
            metadata = shard.metadata()
            tensors = {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118
        about = json.loads(metadata["shard"])
        for name in ("precision", "fit", "resize"):
            del about["settings"][name]
        save_file(tensors, path, {"shard": json.dumps(about)})
    (train / "shard-00000.safetensors").unlink()
    make_latents(model("both"), out=copy, flip=True, **options)

    name = "shard-00000.safetensors"
    assert (train / name).read_bytes() == (whole / "train" / name).read_bytes()


def test_classes_have_one_number_in_every_split(whole: Path) -> None:
    train, val = open_latents(whole), open_latents(whole, "val")

    assert train.index.classes == val.index.classes == ["a", "b", "c"]
    labels = val.batch(range(len(val))).labels
    assert labels is not None
    assert set(labels.tolist()) == {1, 2}
    assert list(val.class_captions()) == ["b"]
    assert val.class_captions()["b"] == ["a picture 0", "a picture 2", "plain 0"]


def test_the_index(whole: Path, pictures: Path, model: Callable[[str], Path]) -> None:
    train = open_latents(whole)
    index = train.index

    assert (index.num_tokens, index.channels, index.image_size) == (4, 2, SIZE)
    assert (index.rows, index.shards) == (2 * ROWS, [5, 5, 5, 5, 4])
    assert (index.images, index.unreadable, index.flip) == (TRAIN, 0, True)
    assert (index.data, index.where) == (str(pictures), "")
    assert (index.precision, index.fit, index.resize) == ("fp32", "crop", "lanczos")
    assert index.tokenizer == str(model("both"))
    assert index.tokenizer_sha256 == extraction.weights_sha256(tiny_tokenizer("both"))


def test_statistics_are_those_of_the_rows(whole: Path) -> None:
    train = open_latents(whole)
    latents = train.batch(range(len(train))).latents
    assert latents.logvar is not None
    mean = latents.mean.double().flatten(0, 1).numpy()
    variance = mean.var(0) + np.exp(latents.logvar.double().flatten(0, 1).numpy()).mean(0)

    np.testing.assert_allclose(train.scale.mean, mean.mean(0), rtol=1e-6)
    np.testing.assert_allclose(train.scale.std, np.sqrt(variance), rtol=1e-6)


def test_captions_are_encoded_once_and_kept(
    model: Callable[[str], Path], options: dict[str, Any], tmp_path: Path
) -> None:
    both = {**options, "text": TextStoreConfig()}
    make_latents(model("both"), out=tmp_path / "both", splits=["val"], **both)
    (cache,) = (tmp_path / "both" / "text-cache").glob("*/*.safetensors")
    before = cache.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "both" / "val")
    make_latents(model("both"), out=tmp_path / "both", splits=["val"], **both)

    assert list((tmp_path / "both" / "text-cache").glob("*/*")) == [cache]
    assert cache.stat().st_mtime_ns == before


def test_without_text_an_image_is_encoded_once(
    model: Callable[[str], Path],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded: list[int] = []
    encode = Tokenizer.encode

    def counted(self: Tokenizer, images: torch.Tensor, *rest: Any, **named: Any) -> Any:
        encoded.append(len(images))
        return encode(self, images, *rest, **named)

    monkeypatch.setattr(Tokenizer, "encode", counted)
    plain = {**options, "text": TextStoreConfig(), "batch_size": 100, "shard_rows": 100}
    make_latents(model("none"), out=tmp_path, splits=["train"], **plain)
    train = open_latents(tmp_path)
    first, second = train.batch([0, 1]).latents.mean

    assert encoded == [TRAIN]
    assert len(train) == ROWS
    assert train.captions()[:2] == ["a picture 0", "plain 0"]
    assert torch.equal(first, second)
    assert not (tmp_path / "text-cache").exists()


def test_what_is_gone_or_cut_short_is_made_again(
    copy: Path, whole: Path, model: Callable[[str], Path], options: dict[str, Any]
) -> None:
    train = copy / "train"
    (train / "shard-00000.safetensors").unlink()
    (train / "shard-00001.jsonl").unlink()
    (train / "shard-00002.jsonl").write_text("")
    numbers = train / "shard-00003.safetensors"
    numbers.write_bytes(numbers.read_bytes()[:-1])
    kept = (train / "shard-00004.safetensors").stat().st_mtime_ns
    make_latents(model("both"), out=copy, flip=True, **options)

    assert contents(train) == contents(whole / "train")
    assert (train / "shard-00004.safetensors").stat().st_mtime_ns == kept
    own = {".lock", ".textok.json"}
    assert {path.name for path in copy.iterdir()} == {"tokenizer", "train", "val"} | own


def test_a_run_that_is_killed_continues(
    whole: Path,
    model: Callable[[str], Path],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = split.write_shard
    written: list[Path] = []

    def killed(path: Path, *rest: Any, **named: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        write(path, *rest, **named)
        written.append(path)

    monkeypatch.setattr(split, "write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        make_latents(model("both"), out=tmp_path, flip=True, **options)
    assert written == [tmp_path / "train" / f"shard-0000{number}.safetensors" for number in (0, 1)]
    with pytest.raises(ValueError, match="train is incomplete: run the same"):
        open_latents(tmp_path)

    monkeypatch.setattr(split, "write_shard", write)
    make_latents(model("both"), out=tmp_path, flip=True, **options)
    for name in ("train", "val"):
        assert contents(tmp_path / name) == contents(whole / name)


def test_an_index_is_not_there_while_a_shard_is_made(
    copy: Path,
    model: Callable[[str], Path],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (copy / "train" / "shard-00000.safetensors").unlink()
    monkeypatch.setattr(split, "encode", lambda *given: pytest.fail("stop"))
    with pytest.raises(pytest.fail.Exception):
        make_latents(model("both"), out=copy, flip=True, **options)
    assert not (copy / "train" / "index.json").exists()


def test_two_processes_make_what_one_makes(
    whole: Path,
    model: Callable[[str], Path],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    out = tmp_path / "two"
    together(_extract, tmp_path / "store", model("both"), out, options, processes=2)

    for name in ("train", "val"):
        assert contents(out / name) == contents(whole / name)


def _extract(rank: int, store: Path, model: Path, out: Path, options: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    make_latents(model, out=out, flip=True, **options)
    torch.distributed.barrier()  # gloo may abort where one leaves while the other still reads
    torch.distributed.destroy_process_group()


def test_a_process_makes_its_share(
    model: Callable[[str], Path], options: dict[str, Any], tmp_path: Path
) -> None:
    images = open_captioned_images(options["data"], image_size=SIZE)
    part = split.plan_split(
        images, tmp_path / "train", sha256="0", flip=False, shard_rows=2, batch_size=2
    )
    part.make(Reconstructor.from_pretrained(model("none")), rank=1, world_size=4)

    names = {path.name for path in (tmp_path / "train").glob("*.safetensors")}
    assert names == {"shard-00001.safetensors", "shard-00005.safetensors"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"flip": False}, r"train holds latents of another flip: True, not False; set it back"),
        ({"shard_rows": 6}, r"train holds latents of another shard-rows: 5, not 6"),
        (
            {"tokenizer": "none"},
            r"of another tokenizer: \w{8}\.\.\., not \w{8}\.\.\.;",
        ),
        ({"where": "label=a"}, r"holds latents of another where: '', not 'label=a'"),
        ({"precision": "bf16"}, r"holds latents of another precision: 'fp32', not 'bf16'"),
        ({"fit": "pad"}, r"holds latents of another fit: 'crop', not 'pad'"),
        ({"resize": "adm"}, r"holds latents of another resize: 'lanczos', not 'adm'"),
        ({"path": "larger"}, r"holds latents of another data: '.*', not '.*larger'"),
        ({"caption": "new"}, r"holds latents of another list of keys, captions and labels: "),
    ],
)
def test_other_settings_are_refused(
    changed: dict[str, Any],
    message: str,
    whole: Path,
    pictures: Path,
    model: Callable[[str], Path],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(whole / "train")
    path = str(pictures)
    if "path" in changed:
        path = shutil.copytree(pictures, tmp_path / changed["path"])
        picture = next(Path(path).rglob("*.png"))
        picture.write_bytes(picture.read_bytes() + b"more")
    if "caption" in changed:
        sidecar = pictures / "train" / "a" / "00.txt"
        text = sidecar.read_text()
        sidecar.write_text(changed["caption"])
    read = {name: value for name, value in changed.items() if name in ("where", "fit", "resize")}
    data = DataConfig(path=str(path), workers=0, **read)
    rests = ("flip", "shard_rows", "precision")
    rest = {name: value for name, value in changed.items() if name in rests}
    given = {**options, "data": data, "flip": True, **rest}
    with pytest.raises(ValueError, match=message) as error:
        make_latents(model(changed.get("tokenizer", "both")), out=whole, splits=["train"], **given)
    if "caption" in changed:
        sidecar.write_text(text)
    assert "\n" not in str(error.value)
    assert contents(whole / "train") == before


def test_images_that_moved_are_gone_on_with(
    whole: Path,
    pictures: Path,
    model: Callable[[str], Path],
    options: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    there = Path(shutil.copytree(pictures, tmp_path / "there"))
    lines = out / "train" / "shard-00001.jsonl"
    lines.unlink()
    given = {**options, "data": DataConfig(path=str(there), workers=0), "flip": True}
    make_latents(model("both"), out=out, splits=["train"], **given)
    assert lines.read_bytes() == (whole / "train" / lines.name).read_bytes()
    told = f"{out / 'train'}: the images were in {pictures} and are in {there}, the same "
    assert [text for text in caplog.messages if text.startswith(told)]
    assert read_index(out / "train").data == str(there)


def test_no_split_is_begun_where_another_does_not_fit(
    copy: Path, model: Callable[[str], Path], options: dict[str, Any]
) -> None:
    shutil.rmtree(copy / "train")
    with pytest.raises(ValueError, match="val holds latents of another flip"):
        make_latents(model("both"), out=copy, flip=False, **options)
    assert not (copy / "train").exists()


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ([], "splits: name at least one"),
        (["tokenizer"], "splits: 'tokenizer' cannot be the folder of a split"),
        ([""], "splits: '' cannot be the folder of a split"),
        (["train", "test"], "has no sub-folder 'test'; data.split can be train, val"),
        (["train", "val"], "bare: train and val are the same images, where there are no splits"),
    ],
)
def test_splits_that_cannot_be(
    splits: list[str],
    message: str,
    pictures: Path,
    model: Callable[[str], Path],
    options: dict[str, Any],
    tmp_path: Path,
) -> None:
    bare = shutil.copytree(pictures / "train", tmp_path / "bare")
    path = bare if "bare" in message else pictures
    given = {**options, "data": DataConfig(path=str(path), workers=0)}
    with pytest.raises(ValueError, match=message):
        make_latents(model("none"), out=tmp_path / "out", splits=splits, **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("batch_size", [1, 100])
def test_bad_images_are_left_out_and_counted(
    batch_size: int,
    pictures: Path,
    model: Callable[[str], Path],
    options: dict[str, Any],
    tmp_path: Path,
) -> None:
    shutil.copytree(pictures / "train", tmp_path / "bad")
    (tmp_path / "bad" / "a" / "00.png").write_bytes(b"no picture")
    out, given = tmp_path / "out", {**options, "batch_size": batch_size, "splits": ["train"]}
    lenient = DataConfig(path=str(tmp_path / "bad"), workers=0, max_bad_share=0.2)
    index = make_latents(model("both"), out=out, **{**given, "data": lenient})["train"]

    assert (index.images, index.unreadable, index.rows) == (TRAIN - 1, 1, ROWS - 2)
    assert index.shards == [3, 5, 2]
    assert "a/00.png" not in open_latents(out).batch(range(index.rows)).keys

    strict = DataConfig(path=str(tmp_path / "bad"), workers=0, max_bad_share=0.1)
    for shards in (3, 0):  # kept ones count, and new ones stop before they are written
        with pytest.raises(BadFilesError, match=r"1 of 9 images cannot be read"):
            make_latents(model("both"), out=out, **{**given, "data": strict})
        assert len(list(out.glob("train/*.safetensors"))) == shards
        shutil.rmtree(out)


def test_nothing_that_can_be_read(
    pictures: Path, model: Callable[[str], Path], options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    data = DataConfig(path=str(tmp_path), workers=0, max_bad_share=1)
    with pytest.raises(ValueError, match="no image that can be read"):
        make_latents(
            model("none"), out=tmp_path / "out", splits=["train"], **{**options, "data": data}
        )


def test_rows_of_several_captions_and_sides(pictures: Path) -> None:
    images = open_captioned_images(DataConfig(path=str(pictures), split="val"), image_size=SIZE)
    plan = RowPlan(images, flip=True)

    assert [record.key for record in images.records] == ["b/00.png", "b/02.png", "c/01.png"]
    assert [plan.place(row) for row in range(len(plan))] == [
        (0, False, "a picture 0"),
        (0, False, "plain 0"),
        (0, True, "a picture 0"),
        (0, True, "plain 0"),
        (1, False, "a picture 2"),
        (1, True, "a picture 2"),
        (2, False, ""),
        (2, True, ""),
    ]


def test_no_mirrored_row_for_captions_that_say_left_or_right(tmp_path: Path) -> None:
    for name, captions in {
        "a": "a cat\na cat, on the Left",
        "b": "left-hand glove",
        "c": "",
    }.items():
        Image.new("RGB", (SIZE, SIZE)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(captions)
    kept, all_of_them = (
        RowPlan(
            open_captioned_images(DataConfig(path=str(tmp_path), keep_sides=keep), image_size=SIZE),
            flip=True,
        )
        for keep in (True, False)
    )

    assert [kept.place(row) for row in range(len(kept))] == [
        (0, False, "a cat"),
        (0, False, "a cat, on the Left"),
        (0, True, "a cat"),
        (1, False, "left-hand glove"),
        (2, False, ""),
        (2, True, ""),
    ]
    assert (kept.not_mirrored, len(kept)) == (2, 6)
    assert (all_of_them.not_mirrored, len(all_of_them)) == (0, 8)


def test_the_command_tells_what_it_wrote(
    pictures: Path,
    model: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["extract", str(model("none")), str(pictures), str(tmp_path), "--workers", "1"]
    assert main([*words, "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert [line.split()[:2] for line in lines[:2]] == [["train", "12"], ["val", "4"]]
    assert lines[2] == str(tmp_path)
    assert json.loads((tmp_path / "val" / "index.json").read_text())["rows"] == 4
