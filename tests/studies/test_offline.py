"""Tokenizers from pieces, where there is no text encoder and no network, and back as runs."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from studies.pairs.commands import tokenizer_steps
from studies.pairs.study import members
from studies.pairs.summary import summary
from studies.photographs import budgets, offline
from studies.photographs.baggage import load_parts, save_parts
from studies.photographs.collect import main as collect
from studies.photographs.pack import pack
from studies.photographs.pieces import unpack, write_pieces
from studies.photographs.results import REPORTS, write_results
from studies.subset import subset, write_subset
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.nn.lpips import LPIPS
from textok.tokenizer import Tokenizer

SMALL = replace(
    budgets.TOY,
    tokens=(2,),
    places_at=0,
    evaluation_flags=("--workers", "0", "--caption-modes", "true", "shuffled"),
)


def picture_set(root: Path, counts: dict[str, int]) -> Path:
    """Pictures of two classes with two captions each."""
    generator = np.random.default_rng(0)
    for split, count in counts.items():
        (root / split).mkdir(parents=True)
        rows = []
        for place in range(count):
            pixels = generator.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / f"{place:02d}.jpg")
            kind = ("goldfish", "school bus")[place % 2]
            captions = [f"a large {kind}", f"a photo of a {kind}"]
            row = {"file_name": f"{place:02d}.jpg", "captions": captions, "label": kind}
            rows.append(json.dumps(row))
        (root / split / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def lpips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random AlexNet in place of LPIPS's."""
    torch.manual_seed(0)
    state = {f"alex.{name}": one.clone() for name, one in LPIPS("alex").state_dict().items()}
    save_file(state, tmp_path / "lpips.safetensors")
    monkeypatch.setenv("TEXTOK_LPIPS", str(tmp_path / "lpips.safetensors"))


@pytest.mark.usefixtures("lpips")
def test_from_pieces_to_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = picture_set(tmp_path / "data", {"train": 24, "val": 4, "test": 12})
    counts = {"train": 20, "val": 4, "test": 10}
    networks = ("efficientnet_lite0",)
    written = pack(
        data, tmp_path / "pieces", counts=counts, captions=[0], networks=networks, limit=8_000_000
    )
    assert [path.name for path in written] == [
        "photographs-01-of-02.tar",
        "photographs-02-of-02.tar",
    ]
    assert all(path.stat().st_size <= 8_000_000 for path in written)

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setitem(offline.BUDGETS, "toy", SMALL)

    def no_encoder(*_: object, **__: object) -> None:
        raise AssertionError("there is no text encoder here")

    monkeypatch.setattr("textok.text.cache.load_text_encoder", no_encoder)
    monkeypatch.setattr("textok.pipeline.reconstructor.load_text_encoder", no_encoder)
    arriving, work, out = tmp_path / "arriving", tmp_path / "work", tmp_path / "out"
    for number, piece in enumerate(written):
        arriving.mkdir()
        shutil.copy(piece, arriving)
        offline.main(arriving, work=work, out=out, seconds=0 if number else 300, toy=True)
        shutil.rmtree(arriving)
    told = capsys.readouterr().out
    assert "still to come: photographs-02-of-02.tar" in told
    assert "out of time: the same call goes on" in told
    assert not list(out.glob("*.safetensors"))

    arriving.mkdir()
    offline.main(arriving, work=work, out=out, toy=True)
    assert f"results in {out}: complete" in capsys.readouterr().out
    names = ["k2-none-s0", "k2-both-s0"]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [REPORTS, *(f"{name}-0.safetensors" for name in names)]
    )

    monkeypatch.setattr(offline, "textok", no_encoder)  # nothing is left to run
    offline.main(arriving, work=work, out=out, toy=True)

    runs = tmp_path / "home"
    collect(out, runs=runs)
    study = budgets.study_of(SMALL, data, runs)
    for member in members(SMALL):
        assert all(step.done.exists() for step in tokenizer_steps(member, study))
        there, here = (
            Tokenizer.from_pretrained(folder / member.name / "model").state_dict()
            for folder in (work / "runs", runs)
        )
        for name, one in there.items():
            torch.testing.assert_close(here[name], one, rtol=2**-8, atol=0)
    found = summary(study, [])
    assert found["tokenizer_fd_gain_percent_mean"] is not None
    assert (found["images_seen"], found["measured_images"]) == (8, 10)
    both = next(one for one in found["tokenizers"] if one["text"] == "both")
    assert set(both["captions"]) == {"true", "shuffled"}


def test_a_subset_is_evenly_spaced_and_keeps_the_bytes(tmp_path: Path) -> None:
    data = picture_set(tmp_path / "data", {"train": 6})
    images = subset(data, "train", 3)
    write_subset(images, tmp_path / "some" / "train")
    config = DataConfig(path=str(tmp_path / "some"), split="train")
    records = open_captioned_images(config, image_size=64).records
    assert [record.captions[1] for record in records] == ["a photo of a goldfish"] * 3
    assert [record.label for record in records] == ["goldfish"] * 3
    kept = [record.read_bytes() for record in records]
    assert kept == [(data / "train" / f"{n:02d}.jpg").read_bytes() for n in (0, 2, 4)]


def test_pieces_hold_every_file_within_their_limit(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    content = {f"a/{n}": bytes(np.random.default_rng(n).integers(0, 255, 30_000)) for n in range(5)}
    for name, one in content.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(one)
    pieces = write_pieces(tree, tmp_path / "out", "some", limit=80_000)
    assert [piece.name for piece in pieces] == [f"some-{n:02d}-of-03.tar" for n in (1, 2, 3)]
    assert all(piece.stat().st_size <= 80_000 for piece in pieces)
    assert unpack(tmp_path / "out", tmp_path / "work") == []
    assert {name: (tmp_path / "work" / name).read_bytes() for name in content} == content
    with pytest.raises(ValueError, match=r"a/0 takes .* over"):
        write_pieces(tree, tmp_path / "out", "some", limit=40_000)


def test_a_damaged_piece_is_named(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"x" * 5000)
    (piece,) = write_pieces(tmp_path / "tree", tmp_path / "out", "some")
    content = bytearray(piece.read_bytes())
    content[560] ^= 255
    piece.write_bytes(content)
    with pytest.raises(ValueError, match=r"some-01-of-01\.tar: damaged"):
        unpack(tmp_path / "out", tmp_path / "work")
    with pytest.raises(ValueError, match="has no piece"):
        unpack(tmp_path / "tree", tmp_path / "other")


def test_weights_come_along_as_far_as_they_fit(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name / "model").mkdir(parents=True)
        (tmp_path / name / "report.md").touch()
        weights = {"w": torch.full((4, 4), 0.1), "b": torch.full((4,), 0.1)}
        save_file(weights, tmp_path / name / "model" / "model.safetensors")
    write_results(tmp_path, ["first", "second"], tmp_path / "out", files=2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "first-0.safetensors",
        REPORTS,
    ]
    kept = load_parts(tmp_path / "out" / "first")
    assert (kept["w"].dtype, kept["b"].dtype) == (torch.bfloat16, torch.float32)


def test_parts_are_of_limited_size(tmp_path: Path) -> None:
    tensors = {f"t{n}": torch.full((100,), float(n)) for n in range(5)}
    parts = save_parts(tensors, tmp_path / "x", part=900)
    assert [path.name for path in parts] == [f"x-{n}.safetensors" for n in range(3)]
    loaded = load_parts(tmp_path / "x")
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], one) for name, one in tensors.items())
