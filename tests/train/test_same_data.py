"""Data that moved are trained on as before; data that changed are not, unless that is wanted."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from textok.config import LossConfig, TrainGeneratorConfig, TrainVQGANConfig, VQGANConfig
from textok.latents.shard import open_shard, write_shard
from textok.runtime.run_folder import RunFolder
from textok.train import train_generator, train_vqgan
from textok.train.session import Session


@pytest.fixture
def vqgan(config, pictures: Path, tmp_path: Path) -> TrainVQGANConfig:
    """Two steps at a constant rate, on a copy of the pictures."""
    shape = VQGANConfig(
        image_size=16, width=8, multipliers=(1, 1), res_blocks=1, codebook_size=5,
        codebook_channels=4,
    )  # fmt: skip
    data = Path(shutil.copytree(pictures, tmp_path / "here"))
    run = replace(config.run, out=str(tmp_path / "run"), steps=2, batch_size=4)
    return TrainVQGANConfig(
        vqgan=shape,
        data=replace(config.data, path=str(data)),
        loss=LossConfig(perceptual=0, gan=replace(config.loss.gan, weight=0)),
        optim=replace(config.optim, warmup=0, final_lr_share=1),
        run=run,
    )


def longer(config, **data):
    """Two steps more, on other data."""
    return replace(config, run=replace(config.run, steps=4), data=replace(config.data, **data))


def weights(root: Path) -> dict[str, Tensor]:
    return load_file(root / "model" / "model.safetensors")


def test_data_that_moved_are_trained_on_as_before_bit_for_bit(
    vqgan: TrainVQGANConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    whole = replace(vqgan.run, out=str(tmp_path / "whole"), steps=4)
    train_vqgan(replace(vqgan, run=whole))
    train_vqgan(vqgan)
    here = Path(vqgan.data.path).rename(tmp_path / "there")
    train_vqgan(longer(vqgan, path=str(here)))
    assert f"data.path was {vqgan.data.path} and is {here}: the same 12 images" in caplog.messages
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert [key for key in expected if not torch.equal(found[key], expected[key])] == []
    assert f"path: {here}" in (tmp_path / "run" / "config.yaml").read_text()


def test_data_that_changed_are_refused_and_nothing_is_touched(
    vqgan: TrainVQGANConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_vqgan(vqgan)
    (Path(vqgan.data.path) / "03.png").unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    told = r"^data\.path: the data have changed since .*run was started: 1 removed, first '03\.png'"
    with pytest.raises(ValueError, match=rf"{told}; restore them, .*; data\.allow_changed goes on"):
        train_vqgan(longer(vqgan))
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    caplog.set_level(logging.INFO)
    train_vqgan(longer(vqgan, allow_changed=True))
    told = "data.path: the data have changed since the run was started: 1 removed, first '03.png'"
    assert told in caplog.messages
    train_vqgan(replace(longer(vqgan), run=replace(vqgan.run, steps=5)))  # these are its data now


def test_a_run_that_kept_no_list_goes_on_where_its_data_lay(
    vqgan: TrainVQGANConfig, tmp_path: Path
) -> None:
    folder = RunFolder(train_vqgan(vqgan))
    folder.fingerprint.unlink()
    there = shutil.copytree(vqgan.data.path, tmp_path / "there")
    with pytest.raises(ValueError, match=r"was started with data\.path = .* and has no list of"):
        train_vqgan(longer(vqgan, path=str(there)))
    train_vqgan(longer(vqgan))
    assert folder.fingerprint.exists()


class Second:
    """The second of two processes, whose first tells ``failure``."""

    is_main = False

    def __init__(self, failure: str) -> None:
        self.failure = failure

    def gather_objects(self, value: str) -> list[str]:
        return [self.failure, value]


def test_the_first_process_decides_for_all(vqgan: TrainVQGANConfig, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for failure in ("", "data.path: the data have changed"):
        session = Session(config=vqgan, folder=folder, distributed=Second(failure))
        if failure:
            with pytest.raises(ValueError, match=failure):
                session.open_folder(pytest.fail)
        else:
            session.open_folder(pytest.fail)
    assert not folder.root.exists()


def test_latents_that_moved_are_the_same_and_others_are_not(
    generator_config: TrainGeneratorConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    there = shutil.copytree(generator_config.latents.path, tmp_path / "there")
    run = replace(generator_config.run, out=str(tmp_path / "run"), steps=1)
    train_generator(replace(generator_config, run=run))
    moved = replace(
        generator_config,
        run=replace(run, steps=2),
        latents=replace(generator_config.latents, path=str(there)),
    )
    train_generator(moved)
    assert [text for text in caplog.messages if text.endswith(f"is {there}: the same 8 rows")]
    path = there / "train" / "shard-00000.safetensors"
    shard = open_shard(path)
    rows = [replace(row, caption=row.caption.replace("number 1", "")) for row in shard.rows()]
    write_shard(path, shard.latents, rows, settings=shard.settings, unreadable={})
    told = r"^latents\.path: the data have changed .*: \d with other captions, first 'even|odd/.*'"
    with pytest.raises(ValueError, match=told):
        train_generator(replace(moved, run=replace(run, steps=3)))
